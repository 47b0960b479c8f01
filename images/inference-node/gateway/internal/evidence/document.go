package evidence

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// Schema names the form of the document. A verifier refuses any other.
const Schema = "bedplate.evidence/v1"

// The logs of a node have some tens of kilobytes; what is longer than a verifier reads is not sent.
const (
	maxEventLog     = 2 << 20
	maxUserspaceLog = 1 << 20
	maxModel        = 1 << 20
	maxOSRelease    = 16 << 10
)

// Document is the answer to one nonce. Byte strings are base64 in JSON. Either TPM or NitroTPM is there.
type Document struct {
	Schema       string          `json:"schema"`
	Nonce        string          `json:"nonce"`
	TLSKey       []byte          `json:"tls_key"`
	Release      Release         `json:"release"`
	Model        json.RawMessage `json:"model"`
	TPM          *TPM            `json:"tpm,omitempty"`
	NitroTPM     *NitroTPM       `json:"nitrotpm,omitempty"`
	EventLog     []byte          `json:"event_log"`
	UserspaceLog []byte          `json:"userspace_log"`
}

// Release is what the node's own os-release says.
type Release struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// TPM is a quote with what is needed to check it: TPMT_PUBLIC, TPMS_ATTEST, TPMT_SIGNATURE and the PCR values, which
// are by bank and index. EndorsementCertificate is DER, or null where the TPM has none: then nobody but an enrolment
// says whose TPM it is.
type TPM struct {
	Key                    []byte                       `json:"key"`
	EndorsementCertificate []byte                       `json:"endorsement_certificate"`
	Message                []byte                       `json:"message"`
	Signature              []byte                       `json:"signature"`
	PCRs                   map[string]map[string]string `json:"pcrs"`
}

// NitroTPM is an attestation document of EC2 (COSE_Sign1).
type NitroTPM struct {
	Document []byte `json:"document"`
}

// Attester makes signed statements about the machine. It puts them into the document.
type Attester interface {
	Attest(ctx context.Context, binding []byte, document *Document) error
}

// Activator is an attester whose key a verifier can ask about: it answers a credential with the secret in it.
type Activator interface {
	Activate(ctx context.Context, credential []byte) ([]byte, error)
}

// ErrNotActivated says that the machine holds not all keys that a credential was made for, or cannot be asked.
var ErrNotActivated = errors.New("the credential is not for this machine")

// Source has what every document of this boot has in common, and the logs, which may grow.
type Source struct {
	attester     Attester
	publicKey    []byte
	release      Release
	model        json.RawMessage
	eventLog     io.ReaderAt
	userspaceLog io.ReaderAt
}

// NewSource reads the identity of release and model. A file of the model that is not there is no error: the node then
// states none.
func NewSource(attester Attester, publicKey []byte, osRelease, model string, eventLog, userspaceLog io.ReaderAt) (*Source, error) {
	text, err := readFile(osRelease, maxOSRelease)
	if err != nil {
		return nil, err
	}
	release, err := ParseOSRelease(string(text))
	if err != nil {
		return nil, err
	}
	identity, err := readFile(model, maxModel)
	switch {
	case errors.Is(err, os.ErrNotExist):
		identity = []byte("null")
	case err != nil:
		return nil, err
	case !json.Valid(identity):
		return nil, fmt.Errorf("%s is no JSON", model)
	}
	return &Source{attester, publicKey, release, identity, eventLog, userspaceLog}, nil
}

// Document answers a nonce. It takes as long as the TPM takes to sign.
func (source *Source) Document(ctx context.Context, nonce []byte) ([]byte, error) {
	document := &Document{
		Schema:  Schema,
		Nonce:   fmt.Sprintf("%x", nonce),
		TLSKey:  source.publicKey,
		Release: source.release,
		Model:   source.model,
	}
	binding := Binding(nonce, source.publicKey)
	if err := source.attester.Attest(ctx, binding[:], document); err != nil {
		return nil, err
	}
	// After the quote: what was extended before it is in the logs by then.
	var err error
	if document.EventLog, err = readLog(source.eventLog, maxEventLog); err != nil {
		return nil, fmt.Errorf("reading the firmware's log: %w", err)
	}
	if document.UserspaceLog, err = readLog(source.userspaceLog, maxUserspaceLog); err != nil {
		return nil, fmt.Errorf("reading systemd's log: %w", err)
	}
	return json.Marshal(document)
}

// Activate answers a credential.
func (source *Source) Activate(ctx context.Context, credential []byte) ([]byte, error) {
	if activator, can := source.attester.(Activator); can {
		return activator.Activate(ctx, credential)
	}
	return nil, ErrNotActivated
}

func readLog(log io.ReaderAt, limit int64) ([]byte, error) {
	return readAll(io.NewSectionReader(log, 0, limit+1), limit)
}

func readFile(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := readAll(file, limit)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return data, nil
}

func readAll(reader io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(reader, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("it has more than %d bytes", limit)
	}
	return data, err
}
