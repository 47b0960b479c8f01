package usage

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"
)

func scan(text string, events bool) Tokens {
	scanner := NewScanner(events)
	scanner.Write([]byte(text))
	return scanner.Tokens()
}

func TestUsageOfAnAnswerIsCounted(t *testing.T) {
	for text, wanted := range map[string]Tokens{
		`{"id":"x","usage":{"prompt_tokens":12,"completion_tokens":34,"total_tokens":46}}`:     {12, 34},
		`{ "usage" : { "completion_tokens" : 34 , "prompt_tokens" : 12 } , "id" : 1 }`:         {12, 34},
		`{"usage":{"input_tokens":1,"output_tokens":2,"details":{"input_tokens":9}}}`:          {1, 2},
		`{"choices":[{"text":"\"usage\":{\"prompt_tokens\":5}"}],"usage":{"prompt_tokens":1}}`: {1, 0},
		`{"choices":[{"usage":{"prompt_tokens":5}}]}`:                                          {},
		`{"usage":null}`: {}, `{"usage":[{"prompt_tokens":5}]}`: {}, `{"usage":["prompt_tokens",5]}`: {},
		`{"usage":{"prompt_tokens":"5","completion_tokens":-5}}`: {}, `{"usage":{"prompt_tokens":1.5}}`: {},
		`{"usage":{"prompt_tokens":null,"completion_tokens":7}}`: {0, 7},
		`{"usage":{"prompt_tokens":99999999999999999999}}`:       {}, `[{"usage":{"prompt_tokens":5}}]`: {},
		`{"usage":{"prompt_tokens":5}`: {}, ``: {}, `no`: {}, `}`: {}, `{"usage":5,"a":{"prompt_tokens":5}}`: {},
		`{"usage":{"prompt_tokens":5},"a":{"prompt_tokens":6}}`:                                       {5, 0},
		`{"a":` + strings.Repeat(`[`, 80) + strings.Repeat(`]`, 80) + `,"usage":{"prompt_tokens":5}}`: {},
	} {
		if found := scan(text, false); found != wanted {
			t.Errorf("%s\nis %v, not %v", text, found, wanted)
		}
	}
}

func TestTheLastUsageOfAStreamIsCounted(t *testing.T) {
	stream := "data: {\"choices\":[{\"delta\":{\"content\":\"data: {\\\"usage\\\"\"}}]}\n\n" +
		": a comment {\"usage\":{\"prompt_tokens\":7}}\r\n" +
		"event: data:{\"usage\":{\"prompt_tokens\":8}}\n\n" +
		"data:{\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}\n\n" +
		"data: {\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\ndata: {\"usage\":null}\n\ndata: [DONE]\n\n"
	if found := scan(stream, true); found != (Tokens{3, 4}) {
		t.Fatal(found)
	}
}

func TestNothingOfAnAnswerIsKept(t *testing.T) {
	scanner := NewScanner(false)
	scanner.Write([]byte(`{"canary-name":"canary-value","usage":{"canary":1,"prompt_tokens":1},"canary2":["canary"`))
	if bytes.Contains(scanner.object.name[:], []byte("canar")) {
		t.Fatalf("%q is kept", scanner.object.name)
	}
}

// reference does what the scanner does with a whole parser.
func reference(text []byte) Tokens {
	var outer, usage map[string]json.RawMessage
	if json.Unmarshal(text, &outer) != nil || json.Unmarshal(outer["usage"], &usage) != nil {
		return Tokens{}
	}
	number := func(names ...string) (result uint64) {
		for _, name := range names {
			var value float64
			if !strings.ContainsAny(string(usage[name]), ".eE-") && json.Unmarshal(usage[name], &value) == nil && value <= maxTokens {
				result = uint64(math.Round(value))
			}
		}
		return result
	}
	return Tokens{number("prompt_tokens"), number("completion_tokens")}
}

func FuzzScanner(f *testing.F) {
	f.Add([]byte(`{"a":[1,{"b":"\\\""}],"usage":{"prompt_tokens":12,"completion_tokens":34}}`), false)
	f.Add([]byte("data: {\"usage\":{\"prompt_tokens\":3}}\n\n"), true)
	f.Fuzz(func(t *testing.T, text []byte, events bool) {
		found := scan(string(text), events)
		// A parser takes "\u0075sage" for "usage" and other names of a counter for others, and copes with any depth.
		plain := !bytes.ContainsAny(text, `\`) && !bytes.Contains(text, []byte("put_tokens")) && bytes.Count(text, []byte("{"))+bytes.Count(text, []byte("[")) < maxDepth
		if !events && plain && json.Valid(text) && found != reference(text) {
			t.Fatalf("%s\nis %v, not %v", text, found, reference(text))
		}
		split := NewScanner(events)
		for index := range text {
			split.Write(text[index : index+1])
		}
		if split.Tokens() != found {
			t.Fatal("the result depends on how the text is cut")
		}
	})
}
