// Package usage counts the tokens that an engine reports, from the bytes of an answer as they pass. It holds some bytes
// of state and no content: of all strings, only names of members are looked at, and of those no more than the longest
// that is looked for.
package usage

// Tokens is what an answer cost.
type Tokens struct {
	Prompt, Completion uint64
}

const (
	usageMember = "usage"
	// The longest name that is looked for, and one more byte to tell a longer one.
	maxName = len("completion_tokens") + 1
	// More levels than answers have; what is deeper is not counted.
	maxDepth  = 63
	maxTokens = 1 << 40
)

// Scanner reads one JSON object, or a stream of server-sent events whose data are such objects, and finds the usage of
// OpenAI's API. It is an io.Writer that takes everything. It does not validate: of text that is no JSON the count means
// nothing.
type Scanner struct {
	events bool
	line   int  // how much of dataPrefix the line of the stream began with
	other  bool // the line of the stream is no data
	object object
	tokens Tokens
}

// NewScanner makes a scanner; events says that the answer is a stream of events.
func NewScanner(events bool) *Scanner { return &Scanner{events: events} }

// Tokens is the last usage that a whole object reported. Objects without usage change nothing.
func (scanner *Scanner) Tokens() Tokens { return scanner.tokens }

// Write never fails.
func (scanner *Scanner) Write(data []byte) (int, error) {
	for _, octet := range data {
		if !scanner.events || scanner.inData(octet) {
			scanner.object.next(octet)
			if scanner.object.complete && scanner.object.found {
				scanner.tokens = scanner.object.tokens
			}
		}
	}
	return len(data), nil
}

const dataPrefix = "data:"

func (scanner *Scanner) inData(octet byte) bool {
	switch {
	case octet == '\n' || octet == '\r':
		scanner.line, scanner.other, scanner.object = 0, false, object{}
	case scanner.other:
	case scanner.line == len(dataPrefix):
		return true
	case octet == dataPrefix[scanner.line]:
		scanner.line++
	default:
		scanner.other = true
	}
	return false
}

type counter int

const (
	none counter = iota
	prompt
	completion
)

// counterOf knows the names of usage in chat completions, completions and embeddings, and in responses.
func counterOf(name string) counter {
	switch name {
	case "prompt_tokens", "input_tokens":
		return prompt
	case "completion_tokens", "output_tokens":
		return completion
	}
	return none
}

// object is how far one JSON object was read.
type object struct {
	depth    int
	objects  uint64 // a bit for each open level: an object, or else an array
	lost     bool   // too deep, or no object at all
	complete bool

	inString, escaped bool
	isName            bool // the next string, or the one that is being read, names a member
	name              [maxName]byte
	length            int

	inUsage bool // the member of the outermost object is the usage
	counter counter
	number  uint64
	digits  int

	found  bool
	tokens Tokens
}

func (object *object) next(octet byte) {
	switch {
	case object.lost || object.complete:
	case object.inString:
		object.inside(octet)
	default:
		object.outside(octet)
	}
}

func (object *object) inside(octet byte) {
	switch {
	case object.escaped:
		object.escaped = false
	case octet == '\\':
		object.escaped = true
		object.length = maxName // none of the names has an escape
	case octet == '"':
		object.inString = false
		if object.isName {
			object.named(string(object.name[:object.length]))
		}
	case object.isName && object.length < maxName:
		object.name[object.length] = octet
		object.length++
	}
}

func (object *object) named(name string) {
	object.name = [maxName]byte{}
	switch {
	case object.depth == 1:
		object.inUsage = name == usageMember
		if object.inUsage {
			object.tokens = Tokens{}
		}
	case object.depth == 2 && object.inUsage:
		object.counter, object.number, object.digits = counterOf(name), 0, 0
		object.count(0)
	}
}

func (object *object) outside(octet byte) {
	switch octet {
	case ' ', '\t', '\r', '\n':
	case '"':
		object.inString, object.length = true, 0
		if !object.isName {
			object.counter = none
		}
	case '{', '[':
		object.open(octet == '{')
	case '}', ']':
		object.value()
		object.close()
	case ',':
		object.value()
		object.isName = object.depth > 0 && object.objects>>(object.depth-1)&1 == 1
	case ':':
		object.isName = false
	default:
		object.digit(octet)
	}
}

func (object *object) open(isObject bool) {
	if object.depth == maxDepth || (object.depth == 0 && !isObject) {
		object.lost = true
		return
	}
	object.counter = none
	object.found = object.found || object.depth == 1 && object.inUsage && isObject
	object.objects &^= 1 << object.depth
	if isObject {
		object.objects |= 1 << object.depth
	}
	object.depth++
	object.isName = isObject
}

func (object *object) close() {
	if object.depth == 0 {
		object.lost = true
		return
	}
	object.depth--
	object.isName = false
	object.complete = object.depth == 0
}

func (object *object) digit(octet byte) {
	if object.counter == none {
		return
	}
	if octet < '0' || octet > '9' || object.number > maxTokens {
		object.counter = none // no count: a fraction, null, nonsense
		return
	}
	object.number = 10*object.number + uint64(octet-'0')
	object.digits++
}

// value ends a value.
func (object *object) value() {
	if object.digits > 0 && object.number <= maxTokens {
		object.count(object.number)
	}
	object.counter, object.number, object.digits = none, 0, 0
}

func (object *object) count(number uint64) {
	switch object.counter {
	case prompt:
		object.tokens.Prompt = number
	case completion:
		object.tokens.Completion = number
	}
}
