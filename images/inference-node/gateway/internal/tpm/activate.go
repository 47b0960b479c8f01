package tpm

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"bedplate.dev/gateway/internal/evidence"
)

// Longer than what a TPM makes of a hash, or of a secret for an RSA key of 2048 bits.
const maxCredentialPart = 512

const policyNonceBytes = 16

// endorsement is a kind of endorsement key: where its certificate is, and what it is derived with (TCG EK Credential
// Profile 2.6, 2.2.1 and B.3: the templates L-2 and L-1).
type endorsement struct {
	certificate tpm2.TPMHandle
	template    tpm2.TPMTPublic
}

var endorsements = []endorsement{
	{0x01C0000A, tpm2.ECCEKTemplate},
	{0x01C00002, tpm2.RSAEKTemplate},
}

// Activate answers TPM2_MakeCredential: it gives the secret out if the TPM holds the endorsement key and the attestation
// key that the credential was made for. The request is TPM2B_ID_OBJECT and TPM2B_ENCRYPTED_SECRET.
func (quoter *quoter) Activate(ctx context.Context, request []byte) ([]byte, error) {
	blob, secret, err := parseCredential(request)
	if err != nil || quoter.endorsement == nil {
		return nil, evidence.ErrNotActivated
	}
	var activated []byte
	err = quoter.device.use(ctx, func() error {
		endorsementKey, err := quoter.loadedEndorsementKey()
		if err != nil {
			return err
		}
		answer, err := tpm2.ActivateCredential{
			ActivateHandle: tpm2.AuthHandle{Handle: quoter.key.Handle, Name: quoter.key.Name, Auth: tpm2.PasswordAuth(nil)},
			KeyHandle: tpm2.AuthHandle{
				Handle: endorsementKey.Handle,
				Name:   endorsementKey.Name,
				Auth:   tpm2.Policy(tpm2.TPMAlgSHA256, policyNonceBytes, endorsementPolicy),
			},
			CredentialBlob: tpm2.TPM2BIDObject{Buffer: blob},
			Secret:         tpm2.TPM2BEncryptedSecret{Buffer: secret},
		}.Execute(quoter.device)
		var refused tpm2.TPMRC
		if errors.As(err, &refused) {
			return evidence.ErrNotActivated
		}
		if err != nil {
			return fmt.Errorf("activating a credential: %w", err)
		}
		activated = answer.CertInfo.Buffer
		return nil
	})
	return activated, err
}

// loadedEndorsementKey makes the key when it is first needed: an RSA key takes a TPM many seconds. The TPM's owner
// uses it under its policy, which asks for the endorsement hierarchy's authorization.
func (quoter *quoter) loadedEndorsementKey() (*tpm2.NamedHandle, error) {
	if quoter.endorsementKey == nil {
		created, err := tpm2.CreatePrimary{
			PrimaryHandle: tpm2.TPMRHEndorsement,
			InPublic:      tpm2.New2B(quoter.endorsement.template),
		}.Execute(quoter.device)
		if err != nil {
			return nil, fmt.Errorf("making the endorsement key: %w", err)
		}
		quoter.endorsementKey = &tpm2.NamedHandle{Handle: created.ObjectHandle, Name: created.Name}
	}
	return quoter.endorsementKey, nil
}

func endorsementPolicy(tpm transport.TPM, session tpm2.TPMISHPolicy, nonce tpm2.TPM2BNonce) error {
	_, err := tpm2.PolicySecret{
		AuthHandle:    tpm2.AuthHandle{Handle: tpm2.TPMRHEndorsement, Auth: tpm2.PasswordAuth(nil)},
		PolicySession: session,
		NonceTPM:      nonce,
	}.Execute(tpm)
	return err
}

// parseCredential reads two structures of a 16 bit size and as many bytes, and nothing after them.
func parseCredential(request []byte) (blob, secret []byte, err error) {
	parts := [2][]byte{}
	for index := range parts {
		if len(request) < 2 {
			return nil, nil, errors.New("the credential ends too early")
		}
		size := int(binary.BigEndian.Uint16(request))
		if size == 0 || size > maxCredentialPart || size > len(request)-2 {
			return nil, nil, errors.New("a part of the credential has no size that it can have")
		}
		parts[index], request = request[2:2+size], request[2+size:]
	}
	if len(request) > 0 {
		return nil, nil, errors.New("something follows the credential")
	}
	return parts[0], parts[1], nil
}
