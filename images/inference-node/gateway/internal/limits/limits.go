// Package limits bounds what the network can make the gateway hold: connections, bytes and requests at a time, requests in
// a time.
package limits

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Listener accepts at most a number of connections at a time, of all peers and of one. Others are closed at once: to
// leave them waiting would hide that the node is full.
type Listener struct {
	net.Listener
	places  *Places
	refused atomic.Uint64
}

// NewListener wraps a listener.
func NewListener(inner net.Listener, total, perPeer int64) *Listener {
	return &Listener{Listener: inner, places: NewPlaces(total, perPeer)}
}

// Accept waits for a connection that there is room for.
func (listener *Listener) Accept() (net.Conn, error) {
	for {
		accepted, err := listener.Listener.Accept()
		if err != nil {
			return nil, err
		}
		peer := Peer(accepted.RemoteAddr().String())
		if listener.places.Take(peer, 1) {
			return &connection{Conn: accepted, release: sync.OnceFunc(func() { listener.places.Give(peer, 1) })}, nil
		}
		listener.refused.Add(1)
		accepted.Close()
	}
}

// Open is how many connections there are now.
func (listener *Listener) Open() int64 { return listener.places.Held() }

// Refused counts the connections that there was no room for.
func (listener *Listener) Refused() uint64 { return listener.refused.Load() }

type connection struct {
	net.Conn
	release func()
}

func (connection *connection) Close() error {
	connection.release()
	return connection.Conn.Close()
}

// Peer is who counts as one peer: an IPv4 address, or the /64 of an IPv6 address, which is one customer's.
func Peer(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	ip := net.ParseIP(host)
	if ip == nil || ip.To4() != nil {
		return host
	}
	return ip.Mask(net.CIDRMask(64, 128)).String()
}

// Places are a number of things that are held at a time: by all peers together, and by one of them.
type Places struct {
	total, perPeer int64
	mutex          sync.Mutex
	held           int64
	peers          map[string]int64 // of those who hold something: no more than total
}

// NewPlaces makes total places, of which one peer can have perPeer.
func NewPlaces(total, perPeer int64) *Places {
	return &Places{total: total, perPeer: perPeer, peers: make(map[string]int64)}
}

// Take takes an amount for a peer if it is there, and within the peer's share. Whoever took gives it back.
func (places *Places) Take(peer string, amount int64) bool {
	places.mutex.Lock()
	defer places.mutex.Unlock()
	if amount < 1 || amount > places.total-places.held || amount > places.perPeer-places.peers[peer] {
		return false
	}
	places.held += amount
	places.peers[peer] += amount
	return true
}

// Give gives back what was taken for a peer.
func (places *Places) Give(peer string, amount int64) {
	places.mutex.Lock()
	defer places.mutex.Unlock()
	places.held -= amount
	if places.peers[peer] -= amount; places.peers[peer] == 0 {
		delete(places.peers, peer)
	}
}

// Held is how much is taken now.
func (places *Places) Held() int64 {
	places.mutex.Lock()
	defer places.mutex.Unlock()
	return places.held
}

// How many peers a Rate remembers. Whoever is forgotten starts anew, so a flood of addresses gains nothing beyond the
// limit on connections.
const maxPeers = 4096

// Rate lets each peer make a number of requests per second on average, and a burst of them at once (token bucket).
type Rate struct {
	perSecond, burst float64
	mutex            sync.Mutex
	peers            map[string]bucket
}

type bucket struct {
	tokens float64
	at     time.Time
}

// NewRate makes a limit for each peer.
func NewRate(perSecond, burst float64) *Rate {
	return &Rate{perSecond: perSecond, burst: burst, peers: make(map[string]bucket)}
}

// Allow counts a request of peer at the time now, and says whether it is within the limit.
func (rate *Rate) Allow(peer string, now time.Time) bool {
	rate.mutex.Lock()
	defer rate.mutex.Unlock()
	known, found := rate.peers[peer]
	if !found {
		rate.forget(now)
		known = bucket{rate.burst, now}
	}
	known.tokens = rate.refilled(known, now)
	known.at = now
	allowed := known.tokens >= 1
	if allowed {
		known.tokens--
	}
	rate.peers[peer] = known
	return allowed
}

func (rate *Rate) refilled(known bucket, now time.Time) float64 {
	return min(rate.burst, known.tokens+rate.perSecond*max(0, now.Sub(known.at).Seconds()))
}

// forget makes room for many: first those whose bucket is full again, then any.
func (rate *Rate) forget(now time.Time) {
	if len(rate.peers) < maxPeers {
		return
	}
	for peer, known := range rate.peers {
		if rate.refilled(known, now) >= rate.burst {
			delete(rate.peers, peer)
		}
	}
	for peer := range rate.peers {
		if len(rate.peers) <= maxPeers/2 {
			return
		}
		delete(rate.peers, peer)
	}
}
