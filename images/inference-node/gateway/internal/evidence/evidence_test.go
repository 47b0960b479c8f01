package evidence

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const bindingVector = "b457745a5e1325f7958fa9eafdf355e0fc2176546310df8eb48acadc2036c6b2"

// The same vector is in tests/unit/evidence/test_node_document.py.
func TestTheBindingIsTheDocumentedHash(t *testing.T) {
	nonce := []byte("0123456789abcdef")
	found := Binding(nonce, []byte("a public key"))
	if hex.EncodeToString(found[:]) != bindingVector {
		t.Fatalf("%x", found)
	}
}

func TestNoTwoInputsAreBoundAlike(t *testing.T) {
	if Binding([]byte("ab"), []byte("c")) == Binding([]byte("a"), []byte("bc")) {
		t.Fatal("a byte can move from the key to the nonce")
	}
}

func TestANonceIsReadStrictly(t *testing.T) {
	good := "nonce=" + strings.Repeat("0a", 32)
	if nonce, err := ParseNonce(good); err != nil || !bytes.Equal(nonce, bytes.Repeat([]byte{10}, 32)) {
		t.Fatal(nonce, err)
	}
	for _, wrong := range []string{
		"", "nonce=", good + "0", good + "&a=b", "&" + good, "Nonce=" + good[6:], "nonce=" + strings.Repeat("0A", 32),
		"nonce=" + strings.Repeat("00", 15), "nonce=" + strings.Repeat("00", 65), "nonce=" + strings.Repeat("0g", 16),
		"nonce=" + strings.Repeat("%30", 16),
	} {
		if nonce, err := ParseNonce(wrong); err == nil {
			t.Errorf("%q was read as %x", wrong, nonce)
		}
	}
}

func TestTheReleaseIsWhatOSReleaseSays(t *testing.T) {
	for text, wanted := range map[string]Release{
		"ID=debian\nIMAGE_ID=node\nIMAGE_VERSION=1.2.3\nVARIANT_ID=production\n": {"node", "1.2.3"},
		"IMAGE_VERSION=\"1.0\"\n  IMAGE_ID='a-b'":                                {"a-b", "1.0"},
	} {
		if found, err := ParseOSRelease(text); err != nil || found != wanted {
			t.Errorf("%q is %v, %v", text, found, err)
		}
	}
	for _, wrong := range []string{
		"", "IMAGE_ID=a", "IMAGE_VERSION=1", "IMAGE_ID=\nIMAGE_VERSION=1", "IMAGE_ID=a\nIMAGE_ID=b\nIMAGE_VERSION=1",
		"IMAGE_ID=$a\nIMAGE_VERSION=1", "IMAGE_ID=\"a\nIMAGE_VERSION=1", "#IMAGE_ID=a\nIMAGE_VERSION=1",
		"IMAGE_ID=" + strings.Repeat("a", 129) + "\nIMAGE_VERSION=1",
	} {
		if found, err := ParseOSRelease(wrong); err == nil {
			t.Errorf("%q is %v", wrong, found)
		}
	}
}

type stub struct{ err error }

func (stub stub) Attest(_ context.Context, binding []byte, document *Document) error {
	document.NitroTPM = &NitroTPM{binding}
	return stub.err
}

func source(t *testing.T, attester Attester, model string) (*Source, error) {
	t.Helper()
	folder := t.TempDir()
	osRelease, modelFile := filepath.Join(folder, "os-release"), filepath.Join(folder, "model.json")
	if os.WriteFile(osRelease, []byte("IMAGE_ID=node\nIMAGE_VERSION=1.0.0\n"), 0o644) != nil {
		t.Fatal()
	}
	if model != "" && os.WriteFile(modelFile, []byte(model), 0o644) != nil {
		t.Fatal()
	}
	return NewSource(attester, []byte("key"), osRelease, modelFile, strings.NewReader("log"), strings.NewReader(""))
}

func TestADocumentHasWhatTheReferenceSays(t *testing.T) {
	for model, stated := range map[string]string{"": "null", ` {"name": "m"} `: `{"name":"m"}`} {
		source, err := source(t, stub{}, model)
		if err != nil {
			t.Fatal(err)
		}
		nonce := bytes.Repeat([]byte{0xab}, 16)
		for range 2 { // the logs are read anew each time
			text, err := source.Document(context.Background(), nonce)
			if err != nil {
				t.Fatal(err)
			}
			binding := Binding(nonce, []byte("key"))
			signed, _ := json.Marshal(binding[:])
			wanted := `{"schema":"bedplate.evidence/v1","nonce":"` + strings.Repeat("ab", 16) + `","tls_key":"a2V5",` +
				`"release":{"name":"node","version":"1.0.0"},"model":` + stated + `,"nitrotpm":{"document":` + string(signed) +
				`},"event_log":"bG9n","userspace_log":""}`
			if string(text) != wanted {
				t.Fatalf("%s\nis not\n%s", text, wanted)
			}
		}
	}
}

func TestWhatIsBrokenIsNoDocument(t *testing.T) {
	if _, err := source(t, stub{}, "{"); err == nil {
		t.Error("a model that is no JSON was taken")
	}
	if _, err := source(t, stub{}, `"`+strings.Repeat("a", maxModel)+`"`); err == nil {
		t.Error("a long model was taken")
	}
	refused, err := source(t, stub{errors.New("no")}, "")
	if err != nil {
		t.Fatal(err)
	}
	if text, err := refused.Document(context.Background(), nil); err == nil {
		t.Errorf("there is a document without a statement: %s", text)
	}
	long, err := source(t, stub{}, "")
	if err != nil {
		t.Fatal(err)
	}
	long.userspaceLog = strings.NewReader(strings.Repeat("a", maxUserspaceLog+1))
	if _, err := long.Document(context.Background(), nil); err == nil {
		t.Error("a log was cut off")
	}
}

func FuzzParseNonce(f *testing.F) {
	f.Add("nonce=000102030405060708090a0b0c0d0e0f")
	f.Fuzz(func(t *testing.T, query string) {
		nonce, err := ParseNonce(query)
		if err == nil && (len(nonce) < MinNonce || len(nonce) > MaxNonce || "nonce="+hex.EncodeToString(nonce) != query) {
			t.Fatalf("%q was read as %x", query, nonce)
		}
	})
}

func FuzzParseOSRelease(f *testing.F) {
	f.Add("IMAGE_ID=\"a\"\nIMAGE_VERSION=1")
	f.Fuzz(func(t *testing.T, text string) {
		release, err := ParseOSRelease(text)
		if err == nil && (!plainValue.MatchString(release.Name) || !plainValue.MatchString(release.Version)) {
			t.Fatalf("%q is %v", text, release)
		}
	})
}
