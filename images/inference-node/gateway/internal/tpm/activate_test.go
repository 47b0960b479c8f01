package tpm

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"bedplate.dev/gateway/internal/evidence"
)

// credential is what TPM2_MakeCredential says, with an endorsement key that this TPM makes for it.
func credential(t *testing.T, tpm transport.TPM, template tpm2.TPMTPublic, name tpm2.TPM2BName, secret []byte) []byte {
	t.Helper()
	key, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHEndorsement, InPublic: tpm2.New2B(template)}.Execute(tpm)
	if err != nil {
		t.Fatal(err)
	}
	defer tpm2.FlushContext{FlushHandle: key.ObjectHandle}.Execute(tpm)
	made, err := tpm2.MakeCredential{
		Handle: key.ObjectHandle, Credential: tpm2.TPM2BDigest{Buffer: secret}, ObjectNamae: name,
	}.Execute(tpm)
	if err != nil {
		t.Fatal(err)
	}
	return append(tpm2.Marshal(made.CredentialBlob), tpm2.Marshal(made.Secret)...)
}

func TestASecretComesBackForTheKeysThatItIsFor(t *testing.T) {
	for _, known := range endorsements {
		tpm := software(t)
		store(t, tpm, known.certificate, []byte("certificate"))
		attester, err := Open(tpm)
		if err != nil {
			t.Fatal(err)
		}
		quoter := attester.(*quoter)
		for range 2 { // the endorsement key is made for the first
			request := credential(t, tpm, known.template, quoter.key.Name, []byte("a secret"))
			answer, err := quoter.Activate(context.Background(), request)
			if err != nil || string(answer) != "a secret" {
				t.Fatal(answer, err)
			}
		}
		other := tpm2.TPM2BName{Buffer: bytes.Clone(quoter.key.Name.Buffer)}
		other.Buffer[10] ^= 1
		changed := credential(t, tpm, known.template, quoter.key.Name, []byte("a secret"))
		changed[8] ^= 1
		for what, request := range map[string][]byte{
			"another attestation key": credential(t, tpm, known.template, other, []byte("a secret")),
			"another TPM":             credential(t, software(t), known.template, quoter.key.Name, []byte("a secret")),
			"a changed bit":           changed,
			"nothing":                 nil,
		} {
			if answer, err := quoter.Activate(context.Background(), request); !errors.Is(err, evidence.ErrNotActivated) {
				t.Errorf("%s: %q, %v", what, answer, err)
			}
		}
		if quote := attest(t, attester, []byte("n")); quote == nil {
			t.Error("it quotes no more")
		}
	}
}

// Sessions and objects are few: 64 and 3 here.
func TestCredentialsThatAreRefusedLeaveNothingInTheTPM(t *testing.T) {
	tpm := software(t)
	store(t, tpm, endorsements[0].certificate, []byte("certificate"))
	attester, err := Open(tpm)
	if err != nil {
		t.Fatal(err)
	}
	quoter := attester.(*quoter)
	good := credential(t, tpm, endorsements[0].template, quoter.key.Name, []byte("a secret"))
	changed := bytes.Clone(good)
	changed[8] ^= 1
	for range 100 {
		if _, err := quoter.Activate(context.Background(), changed); !errors.Is(err, evidence.ErrNotActivated) {
			t.Fatal(err)
		}
	}
	if answer, err := quoter.Activate(context.Background(), good); err != nil || string(answer) != "a secret" {
		t.Fatal(answer, err)
	}
}

func TestATPMWithoutACertificateActivatesNothing(t *testing.T) {
	tpm := software(t)
	attester, err := Open(tpm)
	if err != nil {
		t.Fatal(err)
	}
	request := credential(t, tpm, tpm2.ECCEKTemplate, attester.(*quoter).key.Name, []byte("a secret"))
	if _, err := attester.(*quoter).Activate(context.Background(), request); !errors.Is(err, evidence.ErrNotActivated) {
		t.Error(err)
	}
}

func FuzzParseCredential(f *testing.F) {
	f.Add([]byte("\x00\x01a\x00\x02bc"))
	f.Fuzz(func(t *testing.T, request []byte) {
		blob, secret, err := parseCredential(request)
		if err != nil {
			return
		}
		again := append(tpm2.Marshal(tpm2.TPM2BIDObject{Buffer: blob}), tpm2.Marshal(tpm2.TPM2BEncryptedSecret{Buffer: secret})...)
		if !bytes.Equal(again, request) {
			t.Fatalf("%x was read as %x and %x", request, blob, secret)
		}
	})
}
