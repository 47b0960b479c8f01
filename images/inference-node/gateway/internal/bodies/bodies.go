// Package bodies finds requests that the engine must not see.
//
// Some ask for what its clients share. An engine that keeps what it made of one client's prompt tells another by its
// time, or in the usage, that its prompt begins alike. The node's engine keeps nothing of its own accord
// (engine.service); llama-server lets every request ask for it all the same.
//
// Others are deeper than anybody's needs: llama-server goes down into each object and array by calling itself, and one
// that is some ten thousand deep overflows its stack. So does a grammar in its own notation, with as many brackets in a
// string; what answers shall look like can be said by a schema.
package bodies

import "slices"

// MaxDepth is how many objects and arrays may be open at a time, the outermost included. A schema has two for each level
// of what it describes.
const MaxDepth = 64

// The members of a request that nobody may have (llama.cpp, tools/server/server-task.cpp): to go on from what the last
// prompt left behind, to do so in a place of the client's choice, and a grammar that ends the engine.
var members = []string{"cache_prompt", "id_slot", "grammar"}

// More than the longest of them.
const maxName = 16

// Fault is why the engine must not see a request.
type Fault int

// The faults.
const (
	None Fault = iota
	// One of the members, whatever its value; or in the outermost object a name with an escape, which none has that is
	// meant well; or a zero byte, which no JSON in UTF-8 has.
	Member
	// More than MaxDepth objects and arrays in each other.
	Deep
)

// Find says what is wrong first with a request in JSON (RFC 8259). Of what is no JSON, and hence no request to an engine
// either, the answer means nothing behind the place where it ceases to be JSON.
func Find(body [][]byte) Fault {
	var scanner scanner
	for _, piece := range body {
		for _, octet := range piece {
			if octet == 0 || scanner.next(octet) {
				return Member
			}
			if scanner.depth > MaxDepth {
				return Deep
			}
		}
	}
	return None
}

// scanner knows the last string, as far as it is long, and how deep it is in objects and arrays. A string is a name if a
// colon follows.
type scanner struct {
	depth            int
	inString, escape bool
	escapes          bool
	name             [maxName]byte
	length           int
}

// next takes a byte. It says whether it ends a name that nobody may use.
func (scanner *scanner) next(octet byte) bool {
	switch {
	case scanner.escape:
		scanner.escape = false
	case scanner.inString && octet == '\\':
		scanner.escape, scanner.escapes = true, true
	case octet == '"':
		scanner.inString = !scanner.inString
		if scanner.inString {
			scanner.length, scanner.escapes = 0, false
		}
	case scanner.inString:
		if scanner.length < maxName {
			scanner.name[scanner.length] = octet
			scanner.length++
		}
	case octet == '{' || octet == '[':
		scanner.depth++
	case octet == '}' || octet == ']':
		scanner.depth = max(0, scanner.depth-1)
	case octet == ':' && scanner.depth <= 1:
		return scanner.escapes || slices.Contains(members, string(scanner.name[:scanner.length]))
	}
	return false
}
