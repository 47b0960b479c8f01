// Package tpm lets the machine's TPM speak: a quote by a key of the endorsement hierarchy, or on EC2 a document that
// the hypervisor signs.
package tpm

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"bedplate.dev/gateway/internal/evidence"
)

// TPM_PT_MANUFACTURER of a NitroTPM.
const amazon = 0x414D5A4E // "AMZN"

// ErrBusy says that others already wait for the TPM.
var ErrBusy = errors.New("the TPM is busy")

// How many requests may wait for the TPM, the one that it works on included.
const queue = 16

// device lets one request at a time use the TPM, and few others wait.
type device struct {
	transport.TPM
	waiting chan struct{}
	turn    chan struct{}
}

func newDevice(tpm transport.TPM) *device {
	return &device{tpm, make(chan struct{}, queue), make(chan struct{}, 1)}
}

// use runs work when it is this request's turn. It gives up with ctx, or at once with ErrBusy.
func (device *device) use(ctx context.Context, work func() error) error {
	select {
	case device.waiting <- struct{}{}:
		defer func() { <-device.waiting }()
	default:
		return ErrBusy
	}
	select {
	case device.turn <- struct{}{}:
		defer func() { <-device.turn }()
		return work()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Open finds out what kind of TPM it is and readies it for attestation.
func Open(tpm transport.TPM) (evidence.Attester, error) {
	manufacturer, err := property(tpm, tpm2.TPMPTManufacturer)
	if err != nil {
		return nil, err
	}
	if manufacturer == amazon {
		return &nitro{newDevice(tpm)}, nil
	}
	return newQuoter(tpm)
}

func property(tpm transport.TPM, wanted tpm2.TPMPT) (uint32, error) {
	command := tpm2.GetCapability{Capability: tpm2.TPMCapTPMProperties, Property: uint32(wanted), PropertyCount: 1}
	answer, err := command.Execute(tpm)
	if err != nil {
		return 0, fmt.Errorf("asking the TPM for a property: %w", err)
	}
	properties, err := answer.CapabilityData.Data.TPMProperties()
	if err != nil || len(properties.TPMProperty) != 1 || properties.TPMProperty[0].Property != wanted {
		return 0, errors.New("the TPM did not answer with the property that was asked for")
	}
	return properties.TPMProperty[0].Value, nil
}
