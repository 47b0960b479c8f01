// Package metrics counts what happens, without content: no label has anything that a request or an answer said.
package metrics

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"bedplate.dev/gateway/internal/usage"
)

// Route is a part of the interface. Whatever is no part of it is Other.
type Route string

// The routes.
const (
	Attestation Route = "attestation"
	Inference   Route = "inference"
	Health      Route = "health"
	Metrics     Route = "metrics"
	Other       Route = "other"
)

// Upper bounds of the histogram, in seconds.
var bounds = []float64{0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300}

type key struct {
	route  Route
	status int
}

type histogram struct {
	counts []uint64
	total  uint64
	sum    float64
}

// Registry holds all counts of this process.
type Registry struct {
	mutex    sync.Mutex
	requests map[key]uint64
	times    map[Route]*histogram
	tokens   usage.Tokens
	aborted  uint64
	panics   uint64
}

// New makes a registry with nothing counted.
func New() *Registry {
	return &Registry{requests: make(map[key]uint64), times: make(map[Route]*histogram)}
}

// Request counts a request that was answered with status after a time.
func (registry *Registry) Request(route Route, status int, took time.Duration) {
	registry.mutex.Lock()
	defer registry.mutex.Unlock()
	registry.requests[key{route, status}]++
	times := registry.times[route]
	if times == nil {
		times = &histogram{counts: make([]uint64, len(bounds))}
		registry.times[route] = times
	}
	times.total++
	times.sum += took.Seconds()
	for index, bound := range bounds {
		if took.Seconds() <= bound {
			times.counts[index]++
		}
	}
}

// Tokens adds what an answer cost.
func (registry *Registry) Tokens(tokens usage.Tokens) {
	registry.mutex.Lock()
	defer registry.mutex.Unlock()
	registry.tokens.Prompt += tokens.Prompt
	registry.tokens.Completion += tokens.Completion
}

// Aborted counts an answer that ended before its end.
func (registry *Registry) Aborted() {
	registry.mutex.Lock()
	defer registry.mutex.Unlock()
	registry.aborted++
}

// Panicked counts a bug.
func (registry *Registry) Panicked() {
	registry.mutex.Lock()
	defer registry.mutex.Unlock()
	registry.panics++
}

// Gauges are what the registry does not count itself.
type Gauges struct {
	Connections        int64
	RefusedConnections uint64
	Running            int64
}

// Text is all counts in the text format of Prometheus, version 0.0.4.
func (registry *Registry) Text(gauges Gauges) string {
	registry.mutex.Lock()
	defer registry.mutex.Unlock()
	var text strings.Builder
	family := func(name, kind, help string) {
		fmt.Fprintf(&text, "# HELP bedplate_%s %s\n# TYPE bedplate_%s %s\n", name, help, name, kind)
	}
	family("requests_total", "counter", "Requests by route and status.")
	for _, item := range sortedKeys(registry.requests) {
		fmt.Fprintf(&text, "bedplate_requests_total{route=%q,status=\"%d\"} %d\n", item.route, item.status, registry.requests[item])
	}
	family("request_seconds", "histogram", "Time from the request's header to the end of its answer.")
	for _, route := range []Route{Attestation, Inference, Health, Metrics, Other} {
		times := registry.times[route]
		if times == nil {
			continue
		}
		for index, bound := range bounds {
			fmt.Fprintf(&text, "bedplate_request_seconds_bucket{route=%q,le=\"%g\"} %d\n", route, bound, times.counts[index])
		}
		fmt.Fprintf(&text, "bedplate_request_seconds_bucket{route=%q,le=\"+Inf\"} %d\n", route, times.total)
		fmt.Fprintf(&text, "bedplate_request_seconds_sum{route=%q} %g\n", route, times.sum)
		fmt.Fprintf(&text, "bedplate_request_seconds_count{route=%q} %d\n", route, times.total)
	}
	family("tokens_total", "counter", "Tokens that the engine reported.")
	fmt.Fprintf(&text, "bedplate_tokens_total{kind=\"prompt\"} %d\n", registry.tokens.Prompt)
	fmt.Fprintf(&text, "bedplate_tokens_total{kind=\"completion\"} %d\n", registry.tokens.Completion)
	for _, single := range []struct {
		name, kind, help string
		value            any
	}{
		{"answers_aborted_total", "counter", "Answers that ended before their end.", registry.aborted},
		{"panics_total", "counter", "Bugs that were met.", registry.panics},
		{"connections_refused_total", "counter", "Connections that there was no room for.", gauges.RefusedConnections},
		{"connections", "gauge", "Open connections.", gauges.Connections},
		{"requests_running", "gauge", "Requests that the engine works on.", gauges.Running},
	} {
		family(single.name, single.kind, single.help)
		fmt.Fprintf(&text, "bedplate_%s %d\n", single.name, single.value)
	}
	return text.String()
}

func sortedKeys(requests map[key]uint64) []key {
	keys := make([]key, 0, len(requests))
	for item := range requests {
		keys = append(keys, item)
	}
	slices.SortFunc(keys, func(one, two key) int {
		if order := strings.Compare(string(one.route), string(two.route)); order != 0 {
			return order
		}
		return one.status - two.status
	})
	return keys
}
