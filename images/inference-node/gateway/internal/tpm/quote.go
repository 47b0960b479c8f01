package tpm

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"bedplate.dev/gateway/internal/evidence"
)

// The PCRs that a release vouches for (BOUND_PCRS of builder/release/reference.py).
var boundPCRs = []uint{4, 7, 9, 11, 12, 13, 14}

// The banks that a release has values of, by the names that evidence uses.
var banks = []struct {
	algorithm tpm2.TPMAlgID
	name      string
}{
	{tpm2.TPMAlgSHA256, "sha256"},
	{tpm2.TPMAlgSHA384, "sha384"},
}

// A phase of the boot may be measured between reading the PCRs and the quote; two in a row are not expected.
const attempts = 4

// Longer than any endorsement certificate.
const maxCertificate = 8 << 10

// keyTemplate is a restricted signing key on P-256 that is bound to this TPM. It is derived from the endorsement seed:
// the same TPM makes the same key after every boot, so that a verifier can enrol it once. No key is ever stored.
var keyTemplate = tpm2.TPMTPublic{
	Type:    tpm2.TPMAlgECC,
	NameAlg: tpm2.TPMAlgSHA256,
	ObjectAttributes: tpm2.TPMAObject{
		FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true, Restricted: true,
		SignEncrypt: true,
	},
	Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{
		Scheme: tpm2.TPMTECCScheme{
			Scheme:  tpm2.TPMAlgECDSA,
			Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSigSchemeECDSA{HashAlg: tpm2.TPMAlgSHA256}),
		},
		CurveID: tpm2.TPMECCNistP256,
	}),
	Unique: tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{}),
}

type quoter struct {
	device      *device
	key         tpm2.NamedHandle
	public      []byte
	certificate []byte
	selection   tpm2.TPMLPCRSelection
	// Of what the certificate is, nil without one; the key itself is made when somebody asks for it.
	endorsement    *endorsement
	endorsementKey *tpm2.NamedHandle
}

func newQuoter(tpm transport.TPM) (*quoter, error) {
	selection, err := selectBanks(tpm)
	if err != nil {
		return nil, err
	}
	created, err := tpm2.CreatePrimary{
		PrimaryHandle: tpm2.TPMRHEndorsement,
		InPublic:      tpm2.New2B(keyTemplate),
	}.Execute(tpm)
	if err != nil {
		return nil, fmt.Errorf("making the attestation key: %w", err)
	}
	endorsement, certificate, err := endorsementCertificate(tpm)
	if err != nil {
		return nil, err
	}
	return &quoter{
		device:      newDevice(tpm),
		key:         tpm2.NamedHandle{Handle: created.ObjectHandle, Name: created.Name},
		public:      created.OutPublic.Bytes(),
		certificate: certificate,
		selection:   selection,
		endorsement: endorsement,
	}, nil
}

// Attest quotes the bound PCRs with binding as qualifying data.
func (quoter *quoter) Attest(ctx context.Context, binding []byte, document *evidence.Document) error {
	return quoter.device.use(ctx, func() error {
		for range attempts {
			values, err := readPCRs(quoter.device, quoter.selection)
			if err != nil {
				return err
			}
			quote, err := tpm2.Quote{
				SignHandle:     tpm2.AuthHandle{Handle: quoter.key.Handle, Name: quoter.key.Name, Auth: tpm2.PasswordAuth(nil)},
				QualifyingData: tpm2.TPM2BData{Buffer: binding},
				InScheme:       tpm2.TPMTSigScheme{Scheme: tpm2.TPMAlgNull},
				PCRSelect:      quoter.selection,
			}.Execute(quoter.device)
			if err != nil {
				return fmt.Errorf("quoting: %w", err)
			}
			if !digestOf(values, quote.Quoted) {
				continue
			}
			document.TPM = &evidence.TPM{
				Key:                    quoter.public,
				EndorsementCertificate: quoter.certificate,
				Message:                quote.Quoted.Bytes(),
				Signature:              tpm2.Marshal(quote.Signature),
				PCRs:                   named(values),
			}
			return nil
		}
		return errors.New("the PCRs changed whenever they were quoted")
	})
}

// selectBanks is the bound PCRs in every bank that the TPM has of those that releases know.
func selectBanks(tpm transport.TPM) (tpm2.TPMLPCRSelection, error) {
	var selection tpm2.TPMLPCRSelection
	answer, err := tpm2.GetCapability{Capability: tpm2.TPMCapPCRs, PropertyCount: 1}.Execute(tpm)
	if err != nil {
		return selection, fmt.Errorf("asking the TPM for its PCR banks: %w", err)
	}
	assigned, err := answer.CapabilityData.Data.AssignedPCR()
	if err != nil {
		return selection, fmt.Errorf("asking the TPM for its PCR banks: %w", err)
	}
	wanted := tpm2.PCClientCompatible.PCRs(boundPCRs...)
	for _, bank := range banks {
		for _, present := range assigned.PCRSelections {
			if present.Hash == bank.algorithm && covers(present.PCRSelect, wanted) {
				chosen := tpm2.TPMSPCRSelection{Hash: bank.algorithm, PCRSelect: wanted}
				selection.PCRSelections = append(selection.PCRSelections, chosen)
			}
		}
	}
	if len(selection.PCRSelections) == 0 {
		return selection, errors.New("the TPM has no SHA-256 or SHA-384 bank")
	}
	return selection, nil
}

func covers(present, wanted []byte) bool {
	for index, bits := range wanted {
		if index >= len(present) || present[index]&bits != bits {
			return false
		}
	}
	return true
}

// readPCRs has the values of each selected bank in the order of boundPCRs.
func readPCRs(tpm transport.TPM, selection tpm2.TPMLPCRSelection) (map[tpm2.TPMAlgID][][]byte, error) {
	values := make(map[tpm2.TPMAlgID][][]byte)
	for _, bank := range selection.PCRSelections {
		for _, index := range boundPCRs {
			one := tpm2.TPMSPCRSelection{Hash: bank.Hash, PCRSelect: tpm2.PCClientCompatible.PCRs(index)}
			answer, err := tpm2.PCRRead{
				PCRSelectionIn: tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{one}},
			}.Execute(tpm)
			if err != nil {
				return nil, fmt.Errorf("reading PCR %d: %w", index, err)
			}
			if len(answer.PCRValues.Digests) != 1 {
				return nil, fmt.Errorf("reading PCR %d: the TPM answered with %d values", index, len(answer.PCRValues.Digests))
			}
			values[bank.Hash] = append(values[bank.Hash], answer.PCRValues.Digests[0].Buffer)
		}
	}
	return values, nil
}

// digestOf says whether a quote is over these values (TPM 2.0 Library, Part 3, 18.4; the key signs with SHA-256).
func digestOf(values map[tpm2.TPMAlgID][][]byte, quoted tpm2.TPM2BAttest) bool {
	statement, err := quoted.Contents()
	if err != nil {
		return false
	}
	quote, err := statement.Attested.Quote()
	if err != nil {
		return false
	}
	state := sha256.New()
	for _, bank := range banks {
		for _, value := range values[bank.algorithm] {
			state.Write(value)
		}
	}
	return bytes.Equal(quote.PCRDigest.Buffer, state.Sum(nil))
}

func named(values map[tpm2.TPMAlgID][][]byte) map[string]map[string]string {
	result := make(map[string]map[string]string)
	for _, bank := range banks {
		if len(values[bank.algorithm]) == 0 {
			continue
		}
		result[bank.name] = make(map[string]string)
		for position, index := range boundPCRs {
			result[bank.name][strconv.Itoa(int(index))] = fmt.Sprintf("%x", values[bank.algorithm][position])
		}
	}
	return result
}

// endorsementCertificate is the certificate of the maker in the TPM's NV memory and what it is of, nil if there is none.
func endorsementCertificate(tpm transport.TPM) (*endorsement, []byte, error) {
	answer, err := tpm2.GetCapability{
		Capability: tpm2.TPMCapHandles, Property: uint32(endorsements[1].certificate), PropertyCount: 64,
	}.Execute(tpm)
	if err != nil {
		return nil, nil, fmt.Errorf("asking the TPM for its NV indices: %w", err)
	}
	handles, err := answer.CapabilityData.Data.Handles()
	if err != nil {
		return nil, nil, fmt.Errorf("asking the TPM for its NV indices: %w", err)
	}
	for index := range endorsements {
		if found := &endorsements[index]; slices.Contains(handles.Handle, found.certificate) {
			certificate, err := readNV(tpm, found.certificate)
			return found, certificate, err
		}
	}
	return nil, nil, nil
}

func readNV(tpm transport.TPM, index tpm2.TPMHandle) ([]byte, error) {
	public, err := tpm2.NVReadPublic{NVIndex: index}.Execute(tpm)
	if err != nil {
		return nil, fmt.Errorf("reading NV index %#x: %w", index, err)
	}
	contents, err := public.NVPublic.Contents()
	if err != nil || contents.DataSize == 0 || int(contents.DataSize) > maxCertificate {
		return nil, fmt.Errorf("NV index %#x is no endorsement certificate", index)
	}
	// The smallest TPM2_PT_NV_BUFFER_MAX that is met.
	const step = 512
	var data []byte
	for offset := uint16(0); offset < contents.DataSize; {
		size := min(contents.DataSize-offset, step)
		// An index with AUTHREAD is read by its own, empty authorization value.
		part, err := tpm2.NVRead{
			AuthHandle: tpm2.AuthHandle{Handle: index, Name: public.NVName, Auth: tpm2.PasswordAuth(nil)},
			NVIndex:    tpm2.NamedHandle{Handle: index, Name: public.NVName},
			Size:       size,
			Offset:     offset,
		}.Execute(tpm)
		if err != nil {
			return nil, fmt.Errorf("reading NV index %#x: %w", index, err)
		}
		data = append(data, part.Data.Buffer...)
		offset += size
	}
	return data, nil
}
