package tpm

import (
	"bytes"
	"context"
	"encoding/binary"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"bedplate.dev/gateway/internal/evidence"
)

// script plays a NitroTPM, as far as the dialogue goes: no such TPM was at hand. It has one NV index, and answers the
// vendor command with what the index is then to hold.
type script struct {
	t       *testing.T
	defined bool
	auth    []byte
	memory  []byte
	answer  func(request []byte) []byte
	refuse  bool
}

func (script *script) Send(command []byte) ([]byte, error) {
	code := binary.BigEndian.Uint32(command[6:])
	handles := command[10:]
	switch code {
	case uint32(tpm2.TPMCCGetCapability):
		data := []byte{0, 0, 0, 0, 6, 0, 0, 0, 1}
		data = binary.BigEndian.AppendUint32(data, uint32(tpm2.TPMPTManufacturer))
		return reply(tpm2.TPMSTNoSessions, append(data, "AMZN"...)), nil
	case uint32(tpm2.TPMCCNVReadPublic):
		if !script.defined {
			return failure(0x18B), nil
		}
		public := tpm2.Marshal(tpm2.TPMSNVPublic{NVIndex: messageIndex, NameAlg: tpm2.TPMAlgSHA512, DataSize: messageSize})
		name := append([]byte{0, 0x0D}, make([]byte, 64)...)
		return reply(tpm2.TPMSTNoSessions, append(sized(public), sized(name)...)), nil
	case uint32(tpm2.TPMCCNVDefineSpace):
		script.auth = unsized(script.body(command, 1))
		script.defined, script.memory = true, bytes.Repeat([]byte{0xFF}, messageSize)
	case uint32(tpm2.TPMCCNVUndefineSpace):
		script.defined = false
	case uint32(tpm2.TPMCCNVWrite):
		copy(script.memory, unsized(script.body(command, 2)))
	case nsmRequest:
		if !bytes.Equal(handles[:4], handles[4:8]) || !bytes.HasSuffix(command, script.auth) || script.refuse {
			return failure(0x101), nil
		}
		script.memory = append(script.answer(script.memory), bytes.Repeat([]byte{0xFF}, messageSize)...)[:messageSize]
	case uint32(tpm2.TPMCCNVRead):
		parameters := script.body(command, 2)
		size, offset := binary.BigEndian.Uint16(parameters), binary.BigEndian.Uint16(parameters[2:])
		return withSession(sized(script.memory[offset : offset+size])), nil
	default:
		script.t.Fatalf("the command %#x is not part of the dialogue", code)
	}
	return withSession(nil), nil
}

// body is what follows handles and session.
func (script *script) body(command []byte, handles int) []byte {
	rest := command[10+4*handles:]
	return rest[4+binary.BigEndian.Uint32(rest):]
}

func sized(data []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(data))), data...)
}

func unsized(data []byte) []byte { return data[2 : 2+binary.BigEndian.Uint16(data)] }

func reply(tag tpm2.TPMST, data []byte) []byte {
	header := binary.BigEndian.AppendUint16(nil, uint16(tag))
	header = binary.BigEndian.AppendUint32(header, uint32(responseBytes+len(data)))
	return append(append(header, 0, 0, 0, 0), data...)
}

func withSession(parameters []byte) []byte {
	data := binary.BigEndian.AppendUint32(nil, uint32(len(parameters)))
	return reply(tpm2.TPMSTSessions, append(append(data, parameters...), 0, 0, 1, 0, 0))
}

func failure(code uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{0x80, 1, 0, 0, 0, 10}, code)
}

func attestation(document []byte) []byte {
	answer := append([]byte{0xA1}, text("Attestation")...)
	answer = append(append(answer, 0xA1), text("document")...)
	return append(append(answer, 0x59), sized(document)...)
}

func TestANitroTPMIsAskedForADocumentWithTheBindingAsNonce(t *testing.T) {
	document := bytes.Repeat([]byte("document"), 600)
	var asked []byte
	fake := &script{t: t, answer: func(request []byte) []byte {
		asked, _, _ = bytes.Cut(request, []byte{0xFF})
		return attestation(document)
	}}
	attester, err := Open(fake)
	if err != nil {
		t.Fatal(err)
	}
	binding := bytes.Repeat([]byte{7}, 32)
	for range 2 {
		var stated evidence.Document
		if err := attester.Attest(context.Background(), binding, &stated); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(stated.NitroTPM.Document, document) || stated.TPM != nil {
			t.Fatal("it is not the document that the TPM gave")
		}
	}
	// {"Attestation": {"user_data": null, "nonce": h'07...', "public_key": null}}, as cbor2 writes it.
	wanted := "\xa1kAttestation\xa3iuser_data\xf6enonceX \a\a\a\a\a\a\a\a\a\a\a\a\a\a\a\a\a\a\a\a\a\a\a\a\a\a\a\a\a\a\a\ajpublic_key\xf6"
	if string(asked) != wanted {
		t.Fatalf("%q", asked)
	}
	if fake.defined {
		t.Fatal("the request stays in the TPM")
	}
}

func TestANitroTPMThatRefusesGivesNoDocument(t *testing.T) {
	for _, fake := range []*script{
		{t: t, refuse: true},
		{t: t, answer: func([]byte) []byte { return append([]byte{0xA1}, text("Error")...) }},
	} {
		attester, err := Open(fake)
		if err != nil {
			t.Fatal(err)
		}
		var document evidence.Document
		if err := attester.Attest(context.Background(), make([]byte, 32), &document); err == nil || document.NitroTPM != nil {
			t.Fatal("there is a document")
		}
		if fake.defined {
			t.Fatal("the request stays in the TPM")
		}
	}
}

func FuzzParseAttestation(f *testing.F) {
	f.Add(append(attestation([]byte("document")), 0xFF, 0xFF))
	f.Add([]byte("\xbfkAttestation\xbfhdocumentY\x00\x01a\xff\xff"))
	f.Fuzz(func(t *testing.T, answer []byte) {
		document, err := parseAttestation(answer)
		if err == nil && !bytes.Contains(answer, document) {
			t.Fatalf("%x is not in the answer", document)
		}
	})
}
