// Package evidence makes the document with which the node shows what it runs. docs/reference/evidence-document.md
// describes it; builder/evidence/node_document.py reads it.
package evidence

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"
)

// Limits of a nonce, in bytes: long enough not to be guessed, and a request line stays short.
const (
	MinNonce = 16
	MaxNonce = 64
)

// The first input of the hash, so that what the TPM signs for this purpose is signed for no other.
const domain = "bedplate.evidence/v1\x00"

const noncePrefix = "nonce="

// Binding is what the TPM, or the hypervisor, signs with the PCRs: the verifier's nonce and the TLS key of the node.
//
//	SHA-256( "bedplate.evidence/v1" 00 | u16 length | nonce | u16 length | SubjectPublicKeyInfo in DER )
func Binding(nonce, publicKey []byte) [sha256.Size]byte {
	input := []byte(domain)
	for _, part := range [][]byte{nonce, publicKey} {
		input = binary.BigEndian.AppendUint16(input, uint16(len(part)))
		input = append(input, part...)
	}
	return sha256.Sum256(input)
}

// ParseNonce reads a query string, which must be "nonce=" and lower-case hexadecimal digits and nothing else.
func ParseNonce(query string) ([]byte, error) {
	digits, found := strings.CutPrefix(query, noncePrefix)
	if !found || len(digits) < 2*MinNonce || len(digits) > 2*MaxNonce || strings.ToLower(digits) != digits {
		return nil, errors.New("the query is not nonce= with 16 to 64 bytes in lower-case hexadecimal")
	}
	return hex.DecodeString(digits)
}
