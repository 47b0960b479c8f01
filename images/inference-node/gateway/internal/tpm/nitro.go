package tpm

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"bedplate.dev/gateway/internal/evidence"
)

// A NitroTPM hands out documents that the hypervisor signs. The request is written to an NV index, the vendor command
// replaces it by the answer, which is read from there (aws/NitroTPM-Tools, nitro-tpm-attest). Request and answer are
// those of the Nitro Secure Module in CBOR (aws/aws-nitro-enclaves-nsm-api, src/api).
//
// No NitroTPM was at hand: the dialogue is tested against a script, and verifiers against recorded documents.
const (
	nsmRequest    = 0x20000001 // TPM2_VENDOR_AWS_NSM_REQUEST
	messageIndex  = tpm2.TPMHandle(0x01000001)
	messageSize   = 8192
	authSize      = 32
	maxDocument   = messageSize
	responseBytes = 10
)

type nitro struct {
	device *device
}

// Attest asks for a document whose nonce is binding. The hypervisor adds the PCRs in SHA-384.
func (nitro *nitro) Attest(ctx context.Context, binding []byte, document *evidence.Document) error {
	return nitro.device.use(ctx, func() error {
		signed, err := nitro.document(binding)
		if err != nil {
			return err
		}
		document.NitroTPM = &evidence.NitroTPM{Document: signed}
		return nil
	})
}

func (nitro *nitro) document(binding []byte) ([]byte, error) {
	auth := make([]byte, authSize)
	if _, err := rand.Read(auth); err != nil {
		return nil, err
	}
	// What an earlier process of this boot may have left.
	undefine(nitro.device)
	_, err := tpm2.NVDefineSpace{
		AuthHandle: tpm2.TPMRHOwner,
		Auth:       tpm2.TPM2BAuth{Buffer: auth},
		PublicInfo: tpm2.New2B(tpm2.TPMSNVPublic{
			NVIndex:    messageIndex,
			NameAlg:    tpm2.TPMAlgSHA512,
			Attributes: tpm2.TPMANV{AuthRead: true, AuthWrite: true, NT: tpm2.TPMNTOrdinary},
			DataSize:   messageSize,
		}),
	}.Execute(nitro.device)
	if err != nil {
		return nil, fmt.Errorf("making room for the request: %w", err)
	}
	defer undefine(nitro.device)
	if err := nitro.write(auth, attestationRequest(binding)); err != nil {
		return nil, err
	}
	if err := nitro.request(auth); err != nil {
		return nil, err
	}
	answer, err := nitro.read(auth)
	if err != nil {
		return nil, err
	}
	return parseAttestation(answer)
}

// index is the NV index with its present Name, which a write changes, and the right to use it.
func (nitro *nitro) index(auth []byte) (tpm2.AuthHandle, tpm2.NamedHandle, error) {
	public, err := tpm2.NVReadPublic{NVIndex: messageIndex}.Execute(nitro.device)
	if err != nil {
		return tpm2.AuthHandle{}, tpm2.NamedHandle{}, fmt.Errorf("looking at the request's place: %w", err)
	}
	return tpm2.AuthHandle{Handle: messageIndex, Name: public.NVName, Auth: tpm2.PasswordAuth(auth)},
		tpm2.NamedHandle{Handle: messageIndex, Name: public.NVName}, nil
}

func (nitro *nitro) write(auth, request []byte) error {
	authorized, index, err := nitro.index(auth)
	if err != nil {
		return err
	}
	_, err = tpm2.NVWrite{AuthHandle: authorized, NVIndex: index, Data: tpm2.TPM2BMaxNVBuffer{Buffer: request}}.Execute(nitro.device)
	if err != nil {
		return fmt.Errorf("writing the request: %w", err)
	}
	return nil
}

// request is the vendor command: twice the index, a password, no parameters.
func (nitro *nitro) request(auth []byte) error {
	session := binary.BigEndian.AppendUint32(nil, uint32(tpm2.TPMRSPW))
	session = append(session, 0, 0, 0) // no nonce, no attributes
	session = binary.BigEndian.AppendUint16(session, uint16(len(auth)))
	session = append(session, auth...)

	body := binary.BigEndian.AppendUint32(nil, uint32(messageIndex))
	body = binary.BigEndian.AppendUint32(body, uint32(messageIndex))
	body = binary.BigEndian.AppendUint32(body, uint32(len(session)))
	body = append(body, session...)

	command := binary.BigEndian.AppendUint16(nil, uint16(tpm2.TPMSTSessions))
	command = binary.BigEndian.AppendUint32(command, uint32(responseBytes+len(body)))
	command = binary.BigEndian.AppendUint32(command, nsmRequest)
	response, err := nitro.device.Send(append(command, body...))
	if err != nil {
		return fmt.Errorf("asking for a document: %w", err)
	}
	if len(response) < responseBytes || binary.BigEndian.Uint32(response[6:]) != 0 {
		return errors.New("asking for a document: the TPM refused")
	}
	return nil
}

func (nitro *nitro) read(auth []byte) ([]byte, error) {
	authorized, index, err := nitro.index(auth)
	if err != nil {
		return nil, err
	}
	const step = 1024
	var answer []byte
	for offset := uint16(0); offset < messageSize; offset += step {
		part, err := tpm2.NVRead{AuthHandle: authorized, NVIndex: index, Size: step, Offset: offset}.Execute(nitro.device)
		if err != nil {
			return nil, fmt.Errorf("reading the document: %w", err)
		}
		answer = append(answer, part.Data.Buffer...)
	}
	return answer, nil
}

func undefine(tpm transport.TPM) {
	public, err := tpm2.NVReadPublic{NVIndex: messageIndex}.Execute(tpm)
	if err != nil {
		return
	}
	// If it stays, the next NV_DefineSpace says so.
	_, _ = tpm2.NVUndefineSpace{
		AuthHandle: tpm2.TPMRHOwner, NVIndex: tpm2.NamedHandle{Handle: messageIndex, Name: public.NVName},
	}.Execute(tpm)
}

// attestationRequest is {"Attestation": {"user_data": null, "nonce": nonce, "public_key": null}}.
func attestationRequest(nonce []byte) []byte {
	const null = 0xF6
	request := append([]byte{0xA1}, text("Attestation")...)
	request = append(request, 0xA3)
	request = append(append(request, text("user_data")...), null)
	request = append(request, text("nonce")...)
	request = append(append(request, 0x58, byte(len(nonce))), nonce...)
	return append(append(request, text("public_key")...), null)
}

// parseAttestation takes the document out of {"Attestation": {"document": document}}; what follows is padding.
func parseAttestation(answer []byte) ([]byte, error) {
	for _, name := range []string{"Attestation", "document"} {
		// A map of one pair, or one of indefinite length, as the module writes both.
		if len(answer) == 0 || (answer[0] != 0xA1 && answer[0] != 0xBF) {
			return nil, errors.New("the answer has no document")
		}
		key := text(name)
		if len(answer) < 1+len(key) || !slices.Equal(answer[1:1+len(key)], key) {
			return nil, errors.New("the answer has no document")
		}
		answer = answer[1+len(key):]
	}
	if len(answer) < 3 || answer[0] != 0x59 { // a byte string with a length of two bytes
		return nil, errors.New("the document is no byte string")
	}
	size := int(binary.BigEndian.Uint16(answer[1:]))
	if size > maxDocument || size > len(answer)-3 {
		return nil, errors.New("the document is longer than the answer")
	}
	return answer[3 : 3+size], nil
}

// text is a CBOR text string of less than 24 bytes.
func text(value string) []byte {
	return append([]byte{0x60 | byte(len(value))}, value...)
}
