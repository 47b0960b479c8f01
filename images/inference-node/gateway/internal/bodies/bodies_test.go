package bodies

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
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

func TestAMemberThatNobodyMayHaveIsFound(t *testing.T) {
	for _, text := range []string{
		`{"cache_prompt":true}`, `{"cache_prompt":false}`, `{"id_slot":0}`, `{"messages":[{"a":"b"}],"cache_prompt" : 1}`,
		`{"a":"}","cache_prompt":true}`, `{"a":"\"","cache_prompt":true}`, `{"a":"\\","cache_prompt":true}`,
		"\xef\xbb\xbf{\"cache_prompt\":true}", "{\"a\":1,\n\t\"cache_prompt\"\r\n:\ntrue}", `{"a":[[],{}],"id_slot":1}`,
		`{"cache\u005fprompt":true}`, `{"\u0061":1}`, `{"cache_prompt":true,"cache_prompt":false}`, `{"a":1,"id_slot":-1`,
		`{"grammar":"root ::= \"a\""}`, `{"a":"grammar","grammar":null}`, "{\"a\":1}\x00", "{\x00}", `{"a":{"b":[{"c":1}]},"id_slot":null}`, `{"":0,"id_slot":0}`, `}{"id_slot":0}`,
	} {
		if Find([][]byte{[]byte(text)}) != Member || Find(pieces(text)) != Member {
			t.Errorf("%q", text)
		}
	}
}

func TestOtherRequestsAreNot(t *testing.T) {
	for _, text := range []string{
		"", `{}`, `[]`, `"cache_prompt"`, `{"prompt":"cache_prompt"}`, `{"prompt":"grammar"}`, `{"a":{"grammar":1}}`, `{"grammars":1}`, `{"prompt":"cache_prompt:","n":1}`, `["cache_prompt"]`,
		`{"tools":[{"cache_prompt":true}]}`, `{"extra":{"cache_prompt":true}}`, `{"cache_prompts":1}`, `{"cache_promp":1}`,
		`{"cache_prompt_and_more_than_is_kept":1}`, `{"a":"\u0061"}`, `{"a":{"\u0061":1}}`, `{"Cache_Prompt":1}`,
		`{"prompt":"say \"cache_prompt\": true"}`, `{"prompt":"\\\"id_slot\": "}`, `{"stop":["\n","cache_prompt"],"n":1}`,
	} {
		if Find([][]byte{[]byte(text)}) != None || Find(pieces(text)) != None {
			t.Errorf("%q", text)
		}
	}
}

// nested is count objects and arrays in each other.
func nested(open, inner, end string, count int) string {
	return strings.Repeat(open, count) + inner + strings.Repeat(end, count)
}

// What one anonymous client could end an engine with.
var tooDeep = []string{
	`{"chat_template_kwargs":{"a":` + nested("[", "", "]", 60_000) + `}}`,
	`{"chat_template_kwargs":{"a":` + strings.Repeat("[", 60_000),
	`{"tools":[{"type":"function","function":{"name":"f","parameters":` + nested(`{"items":`, "{}", "}", 5000) + `}}]}`,
	`{"response_format":{"type":"json_schema","json_schema":{"schema":` + nested(`{"items":`, "{}", "}", 5000) + `}}}`,
	nested(`{"a":`, "1", "}", MaxDepth+1), nested(`[`, "", "]", MaxDepth+1), nested("[ {\"a\": ", "0", "}\n]", MaxDepth/2+1),
	"}]}" + strings.Repeat("[", MaxDepth+1), `{"a":"\\"` + strings.Repeat(`,"b":[`, MaxDepth), nested(`{"a":"]}","b":`, "1", "}", MaxDepth+1),
}

func TestADeepRequestIsFound(t *testing.T) {
	for _, text := range tooDeep {
		if Find([][]byte{[]byte(text)}) != Deep || Find(pieces(text)) != Deep {
			t.Errorf("%.80q", text)
		}
	}
}

func TestARequestAsDeepAsMayBeIsNot(t *testing.T) {
	for _, text := range []string{
		nested(`{"a":`, "1", "}", MaxDepth), nested("[", "", "]", MaxDepth), "[" + strings.Repeat(nested("[", "1", "]", MaxDepth-1)+",", 100) + "2]",
		`{"prompt":"` + strings.Repeat("[{", 60_000) + `"}`, `{"prompt":"\"` + strings.Repeat("[{", 60_000) + `"}`,
	} {
		if Find([][]byte{[]byte(text)}) != None || Find(pieces(text)) != None {
			t.Errorf("%.80q", text)
		}
	}
}

// depth is how deep JSON is, as encoding/json reads it.
func depth(t *testing.T, body []byte) int {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(body))
	now, most := 0, 0
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return most
		}
		if err != nil {
			t.Fatal(err)
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			now++
			most = max(most, now)
		case json.Delim('}'), json.Delim(']'):
			now--
		}
	}
}

// In whatever encoding/json reads, no member is missed, and no depth; and a member is found only where there is one, or
// an escape.
func FuzzFind(f *testing.F) {
	f.Add([]byte(`{"cache_prompt":true}`))
	f.Add([]byte(`{"a":[{"id_slot":1}],"\u0069d_slot":"\""}`))
	f.Add([]byte(nested(`{"a":`, "1", "}", MaxDepth)))
	for _, text := range tooDeep {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if !json.Valid(body) {
			Find([][]byte{body})
			return
		}
		found, deep := Find([][]byte{body}), depth(t, body) > MaxDepth
		if deep && found == None || !deep && found == Deep {
			t.Fatalf("%q: %d", body, found)
		}
		var object map[string]json.RawMessage
		if deep || json.Unmarshal(body, &object) != nil {
			return
		}
		has := slices.ContainsFunc(members, func(name string) bool { _, has := object[name]; return has })
		if has && found != Member || !has && found == Member && !strings.Contains(string(body), `\`) {
			t.Fatalf("%q: %d", body, found)
		}
	})
}
