package tpm

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"bedplate.dev/gateway/internal/evidence"
)

// software starts a TPM of its own for a test: swtpm, with the options of swtpm_setup.
func software(t *testing.T, options ...string) transport.TPM {
	t.Helper()
	for _, program := range []string{"swtpm", "swtpm_setup"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
	folder := t.TempDir()
	setup := append([]string{"--tpm2", "--tpmstate", "dir://" + folder, "--config", "/dev/null"}, options...)
	if output, err := exec.Command("swtpm_setup", setup...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %s", err, output)
	}
	socket := filepath.Join(folder, "s")
	swtpm := exec.Command("swtpm", "socket", "--tpm2", "--tpmstate", "dir="+folder, "--flags", "not-need-init,startup-clear",
		"--server", "type=unixio,path="+socket)
	if err := swtpm.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { swtpm.Process.Kill(); swtpm.Wait() })
	for range 500 {
		if connection, err := net.Dial("unix", socket); err == nil {
			t.Cleanup(func() { connection.Close() })
			return transport.FromReadWriter(connection)
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("swtpm does not listen")
	return nil
}

func attest(t *testing.T, attester evidence.Attester, binding []byte) *evidence.TPM {
	t.Helper()
	var document evidence.Document
	if err := attester.Attest(context.Background(), binding, &document); err != nil {
		t.Fatal(err)
	}
	return document.TPM
}

func extend(t *testing.T, tpm transport.TPM, index tpm2.TPMHandle) {
	t.Helper()
	digests := []tpm2.TPMTHA{{HashAlg: tpm2.TPMAlgSHA256, Digest: bytes.Repeat([]byte{1}, 32)}}
	_, err := tpm2.PCRExtend{
		PCRHandle: tpm2.AuthHandle{Handle: index, Auth: tpm2.PasswordAuth(nil)},
		Digests:   tpm2.TPMLDigestValues{Digests: digests},
	}.Execute(tpm)
	if err != nil {
		t.Fatal(err)
	}
}

// verify checks a quote with Go's own cryptography; builder/evidence does it again in the tests of Python.
func verify(t *testing.T, quote *evidence.TPM, binding []byte) {
	t.Helper()
	public, err := tpm2.Unmarshal[tpm2.TPMTPublic](quote.Key)
	if err != nil {
		t.Fatal(err)
	}
	point, err := public.Unique.ECC()
	if err != nil {
		t.Fatal(err)
	}
	signature, err := tpm2.Unmarshal[tpm2.TPMTSignature](quote.Signature)
	if err != nil {
		t.Fatal(err)
	}
	numbers, err := signature.Signature.ECDSA()
	if err != nil {
		t.Fatal(err)
	}
	key := &ecdsa.PublicKey{
		Curve: elliptic.P256(), X: new(big.Int).SetBytes(point.X.Buffer), Y: new(big.Int).SetBytes(point.Y.Buffer),
	}
	digest := sha256.Sum256(quote.Message)
	r, s := new(big.Int).SetBytes(numbers.SignatureR.Buffer), new(big.Int).SetBytes(numbers.SignatureS.Buffer)
	if !ecdsa.Verify(key, digest[:], r, s) {
		t.Fatal("the quote is not signed by its key")
	}
	statement, err := tpm2.Unmarshal[tpm2.TPMSAttest](quote.Message)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(statement.ExtraData.Buffer, binding) {
		t.Fatal("the quote is bound to something else")
	}
}

func TestAQuoteIsBoundAndOverTheBoundPCRs(t *testing.T) {
	tpm := software(t, "--pcr-banks", "sha256,sha384")
	attester, err := Open(tpm)
	if err != nil {
		t.Fatal(err)
	}
	first := attest(t, attester, []byte("one"))
	verify(t, first, []byte("one"))
	if len(first.PCRs) != 2 || first.EndorsementCertificate != nil {
		t.Fatal(first.PCRs, first.EndorsementCertificate)
	}
	for bank, size := range map[string]int{"sha256": 64, "sha384": 96} {
		for _, index := range boundPCRs {
			if len(first.PCRs[bank][fmt.Sprint(index)]) != size {
				t.Errorf("PCR %d (%s) is %q", index, bank, first.PCRs[bank][fmt.Sprint(index)])
			}
		}
	}
	extend(t, tpm, 12)
	second := attest(t, attester, []byte("two"))
	verify(t, second, []byte("two"))
	if second.PCRs["sha256"]["12"] == first.PCRs["sha256"]["12"] || second.PCRs["sha256"]["4"] != first.PCRs["sha256"]["4"] {
		t.Fatal("the extended PCR is not the one that changed")
	}
}

func TestTheKeyIsTheSameAfterARestartOfTheGateway(t *testing.T) {
	tpm := software(t)
	first, err := Open(tpm)
	if err != nil {
		t.Fatal(err)
	}
	second, err := Open(tpm)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(attest(t, first, nil).Key, attest(t, second, nil).Key) {
		t.Fatal("a verifier would have to enrol the node again")
	}
}

func TestABankThatTheTPMLacksIsLeftOut(t *testing.T) {
	attester, err := Open(software(t, "--pcr-banks", "sha384"))
	if err != nil {
		t.Fatal(err)
	}
	quote := attest(t, attester, []byte("n"))
	verify(t, quote, []byte("n"))
	if len(quote.PCRs) != 1 || quote.PCRs["sha384"] == nil {
		t.Fatal(quote.PCRs)
	}
	if _, err := Open(software(t, "--pcr-banks", "sha1")); err == nil {
		t.Fatal("a TPM without a bank of ours was taken")
	}
}

func TestAPCRThatMovesMeanwhileIsQuotedAgain(t *testing.T) {
	real := software(t, "--pcr-banks", "sha256")
	var once sync.Once
	attester, err := Open(tamper{real, func(command []byte) {
		if binary.BigEndian.Uint32(command[6:]) == uint32(tpm2.TPMCCQuote) {
			once.Do(func() { extend(t, real, 11) })
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	quote := attest(t, attester, []byte("n"))
	verify(t, quote, []byte("n"))
	now, err := readPCRs(real, attester.(*quoter).selection)
	if err != nil || named(now)["sha256"]["11"] != quote.PCRs["sha256"]["11"] {
		t.Fatal("the PCRs are not those of the quote", err)
	}
}

func TestAPCRThatNeverRestsIsNotQuoted(t *testing.T) {
	real := software(t, "--pcr-banks", "sha256")
	attester, err := Open(tamper{real, func(command []byte) {
		if binary.BigEndian.Uint32(command[6:]) == uint32(tpm2.TPMCCQuote) {
			extend(t, real, 11)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if attester.Attest(context.Background(), nil, &evidence.Document{}) == nil {
		t.Fatal("values were handed out that nobody signed")
	}
}

// tamper does something before each command.
type tamper struct {
	transport.TPM
	before func(command []byte)
}

func (tamper tamper) Send(command []byte) ([]byte, error) {
	tamper.before(command)
	return tamper.TPM.Send(command)
}

// store writes a certificate where the maker of a TPM does.
func store(t *testing.T, tpm transport.TPM, index tpm2.TPMHandle, certificate []byte) {
	t.Helper()
	define := tpm2.NVDefineSpace{
		AuthHandle: tpm2.TPMRHOwner,
		PublicInfo: tpm2.New2B(tpm2.TPMSNVPublic{
			NVIndex: index, NameAlg: tpm2.TPMAlgSHA256, DataSize: uint16(len(certificate)),
			Attributes: tpm2.TPMANV{AuthRead: true, AuthWrite: true, OwnerRead: true, NT: tpm2.TPMNTOrdinary},
		}),
	}
	if _, err := define.Execute(tpm); err != nil {
		t.Fatal(err)
	}
	for offset := 0; offset < len(certificate); offset += 500 {
		public, err := tpm2.NVReadPublic{NVIndex: index}.Execute(tpm)
		if err != nil {
			t.Fatal(err)
		}
		part := certificate[offset:min(offset+500, len(certificate))]
		_, err = tpm2.NVWrite{
			AuthHandle: tpm2.AuthHandle{Handle: index, Name: public.NVName, Auth: tpm2.PasswordAuth(nil)},
			NVIndex:    tpm2.NamedHandle{Handle: index, Name: public.NVName},
			Data:       tpm2.TPM2BMaxNVBuffer{Buffer: part},
			Offset:     uint16(offset),
		}.Execute(tpm)
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheMakersCertificateIsHandedOut(t *testing.T) {
	certificate := bytes.Repeat([]byte("certificate"), 100) // more than one TPM2_NV_Read takes
	for _, known := range endorsements {
		tpm := software(t)
		store(t, tpm, known.certificate, certificate)
		attester, err := Open(tpm)
		if err != nil {
			t.Fatal(err)
		}
		if found := attest(t, attester, nil).EndorsementCertificate; !bytes.Equal(found, certificate) {
			t.Fatalf("%q", found)
		}
	}
}

func TestOnlySoManyWaitForTheTPM(t *testing.T) {
	device := newDevice(nil)
	release := make(chan struct{})
	started := make(chan error, queue)
	for range queue {
		go func() {
			started <- device.use(context.Background(), func() error { <-release; return nil })
		}()
	}
	for len(device.waiting) < queue {
		time.Sleep(time.Millisecond)
	}
	if err := device.use(context.Background(), func() error { return nil }); !errors.Is(err, ErrBusy) {
		t.Fatal(err)
	}
	close(release)
	for range queue {
		if err := <-started; err != nil {
			t.Fatal(err)
		}
	}
	stuck := make(chan struct{})
	defer close(stuck)
	go device.use(context.Background(), func() error { <-stuck; return nil })
	for len(device.turn) == 0 {
		time.Sleep(time.Millisecond)
	}
	impatient, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if err := device.use(impatient, func() error { return nil }); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
}
