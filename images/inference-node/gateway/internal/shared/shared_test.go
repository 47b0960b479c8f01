package shared

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// pieces cuts a text everywhere.
func pieces(text string) [][]byte {
	var body [][]byte
	for index := range len(text) {
		body = append(body, []byte{text[index]})
	}
	return body
}

func TestARequestForWhatClientsShareIsFound(t *testing.T) {
	for _, text := range []string{
		`{"cache_prompt":true}`, `{"cache_prompt":false}`, `{"id_slot":0}`, `{"messages":[{"a":"b"}],"cache_prompt" : 1}`,
		`{"a":"}","cache_prompt":true}`, `{"a":"\"","cache_prompt":true}`, `{"a":"\\","cache_prompt":true}`,
		"\xef\xbb\xbf{\"cache_prompt\":true}", "{\"a\":1,\n\t\"cache_prompt\"\r\n:\ntrue}", `{"a":[[],{}],"id_slot":1}`,
		`{"cache\u005fprompt":true}`, `{"\u0061":1}`, `{"cache_prompt":true,"cache_prompt":false}`, `{"a":1,"id_slot":-1`,
		"{\"a\":1}\x00", "{\x00}", `{"a":{"b":[{"c":1}]},"id_slot":null}`, `{"":0,"id_slot":0}`, `}{"id_slot":0}`,
	} {
		if !Asked([][]byte{[]byte(text)}) || !Asked(pieces(text)) {
			t.Errorf("%q", text)
		}
	}
}

func TestOtherRequestsAreNot(t *testing.T) {
	for _, text := range []string{
		"", `{}`, `[]`, `"cache_prompt"`, `{"prompt":"cache_prompt"}`, `{"prompt":"cache_prompt:","n":1}`, `["cache_prompt"]`,
		`{"tools":[{"cache_prompt":true}]}`, `{"extra":{"cache_prompt":true}}`, `{"cache_prompts":1}`, `{"cache_promp":1}`,
		`{"cache_prompt_and_more_than_is_kept":1}`, `{"a":"\u0061"}`, `{"a":{"\u0061":1}}`, `{"Cache_Prompt":1}`,
		`{"prompt":"say \"cache_prompt\": true"}`, `{"prompt":"\\\"id_slot\": "}`, `{"stop":["\n","cache_prompt"],"n":1}`,
	} {
		if Asked([][]byte{[]byte(text)}) || Asked(pieces(text)) {
			t.Errorf("%q", text)
		}
	}
}

// In whatever encoding/json reads, no member is missed; and one is found only where there is one, or an escape.
func FuzzAsked(f *testing.F) {
	f.Add([]byte(`{"cache_prompt":true}`))
	f.Add([]byte(`{"a":[{"id_slot":1}],"\u0069d_slot":"\""}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var object map[string]json.RawMessage
		if json.Unmarshal(body, &object) != nil {
			return
		}
		has := slices.ContainsFunc(members, func(name string) bool { _, has := object[name]; return has })
		if asked := Asked([][]byte{body}); has && !asked || !has && asked && !strings.Contains(string(body), `\`) {
			t.Fatalf("%q: %t", body, asked)
		}
	})
}
