package limits

import (
	"fmt"
	"net"
	"sync"
	"testing"
	"time"
)

func listen(t *testing.T, total, perPeer int64) *Listener {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener := NewListener(inner, total, perPeer)
	t.Cleanup(func() { listener.Close() })
	return listener
}

func closedByPeer(connection net.Conn) bool {
	connection.SetReadDeadline(time.Now().Add(5 * time.Second))
	_, err := connection.Read(make([]byte, 1))
	timeout, isTimeout := err.(net.Error)
	return err != nil && !(isTimeout && timeout.Timeout())
}

func TestAConnectionTooManyIsClosedAndOneThatEndsMakesRoom(t *testing.T) {
	for _, limits := range [][2]int64{{2, 9}, {9, 2}} {
		listener := listen(t, limits[0], limits[1])
		accepted := make(chan net.Conn, 9)
		go func() {
			for {
				connection, err := listener.Accept()
				if err != nil {
					return
				}
				accepted <- connection
			}
		}()
		dial := func() net.Conn {
			connection, err := net.Dial("tcp", listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { connection.Close() })
			return connection
		}
		dial()
		dial()
		first, second := <-accepted, <-accepted
		if !closedByPeer(dial()) || listener.Refused() != 1 || listener.Open() != 2 {
			t.Fatalf("limits %v: a third connection was served", limits)
		}
		first.Close()
		first.Close()
		if listener.Open() != 1 {
			t.Fatalf("limits %v: a connection that was closed twice counts twice", limits)
		}
		dial()
		(<-accepted).Close()
		second.Close()
		if listener.Open() != 0 || len(listener.places.peers) != 0 {
			t.Fatalf("limits %v: closed connections are remembered", limits)
		}
	}
}

func TestAPeerIsAnAddressOrACustomersNetwork(t *testing.T) {
	for address, peer := range map[string]string{
		"192.0.2.1:1": "192.0.2.1", "[2001:db8:1:2:3::4]:5": "2001:db8:1:2::", "[2001:db8:1:2:9::]:5": "2001:db8:1:2::",
		"@": "@", "[::ffff:192.0.2.1]:1": "::ffff:192.0.2.1",
	} {
		if found := Peer(address); found != peer {
			t.Errorf("%s is %s, not %s", address, found, peer)
		}
	}
}

func TestPlacesAreNeverOverdrawn(t *testing.T) {
	places := NewPlaces(10, 10)
	for _, amount := range []int64{-1, 0, 11} {
		if places.Take("a", amount) {
			t.Fatalf("%d were taken out of 10", amount)
		}
	}
	if !places.Take("a", 7) || places.Take("b", 4) || !places.Take("b", 3) || places.Take("c", 1) {
		t.Fatal("7 and 3 are 10")
	}
	places.Give("a", 7)
	places.Give("b", 3)
	var group sync.WaitGroup
	var mutex sync.Mutex
	taken := 0
	for number := range 50 {
		group.Add(1)
		go func() {
			defer group.Done()
			if places.Take(fmt.Sprint(number), 3) {
				mutex.Lock()
				taken++
				mutex.Unlock()
			}
		}()
	}
	group.Wait()
	if taken > 3 || places.Held() != int64(3*taken) {
		t.Fatalf("%d times 3 were taken out of 10, %d are held", taken, places.Held())
	}
}

func TestAPeerHasItsShareAndWhoHoldsNothingIsForgotten(t *testing.T) {
	places := NewPlaces(10, 4)
	if places.Take("a", 5) || !places.Take("a", 3) || places.Take("a", 2) || !places.Take("a", 1) || places.Take("a", 1) {
		t.Fatal("the share is 4")
	}
	if !places.Take("b", 4) || places.Take("c", 3) || !places.Take("c", 2) || places.Take("d", 1) {
		t.Fatal("4, 4 and 2 are 10")
	}
	if len(places.peers) != 3 {
		t.Fatal("a peer that was refused is remembered", places.peers)
	}
	places.Give("a", 1)
	if places.Take("b", 1) || !places.Take("a", 1) {
		t.Fatal("what one peer gives back is another's to take")
	}
	for peer, amount := range map[string]int64{"a": 4, "b": 4, "c": 2} {
		places.Give(peer, amount)
	}
	if places.Held() != 0 || len(places.peers) != 0 {
		t.Fatal("who holds nothing is remembered", places.Held(), places.peers)
	}
}

func TestARateAllowsABurstAndThenItsAverage(t *testing.T) {
	rate := NewRate(2, 3)
	start := time.Unix(1000, 0)
	for _, step := range []struct {
		after   time.Duration
		allowed bool
	}{
		{0, true}, {0, true}, {0, true}, {0, false}, {400 * time.Millisecond, false}, {500 * time.Millisecond, true},
		{500 * time.Millisecond, false}, {time.Hour, true}, {time.Hour, true}, {time.Hour, true}, {time.Hour, false},
		{0, false}, // a clock that goes back
	} {
		if rate.Allow("a", start.Add(step.after)) != step.allowed {
			t.Fatalf("after %s: not %t", step.after, step.allowed)
		}
	}
	if !rate.Allow("b", start) {
		t.Fatal("another peer pays for the first")
	}
}

func TestARateRemembersABoundedNumberOfPeers(t *testing.T) {
	rate := NewRate(1, 2)
	now := time.Unix(1000, 0)
	for number := range 3 * maxPeers {
		rate.Allow(fmt.Sprint(number), now)
	}
	if len(rate.peers) > maxPeers {
		t.Fatalf("%d peers are remembered", len(rate.peers))
	}
}
