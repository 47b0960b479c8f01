package metrics

import (
	"strings"
	"testing"
	"time"

	"bedplate.dev/gateway/internal/usage"
)

func TestCountsAreWrittenAsPrometheusReadsThem(t *testing.T) {
	registry := New()
	registry.Request(Inference, 200, 2*time.Second)
	registry.Request(Inference, 200, time.Millisecond)
	registry.Request(Health, 503, 0)
	registry.Tokens(usage.Tokens{Prompt: 3, Completion: 4})
	registry.Tokens(usage.Tokens{Prompt: 1})
	registry.Aborted()
	registry.Panicked()
	text := registry.Text(Gauges{Connections: 5, RefusedConnections: 6, Running: 7})
	for _, line := range []string{
		`bedplate_requests_total{route="health",status="503"} 1`,
		`bedplate_requests_total{route="inference",status="200"} 2`,
		`bedplate_request_seconds_bucket{route="inference",le="1"} 1`,
		`bedplate_request_seconds_bucket{route="inference",le="3"} 2`,
		`bedplate_request_seconds_bucket{route="inference",le="+Inf"} 2`,
		`bedplate_request_seconds_sum{route="inference"} 2.001`,
		`bedplate_tokens_total{kind="prompt"} 4`,
		`bedplate_tokens_total{kind="completion"} 4`,
		`bedplate_answers_aborted_total 1`, `bedplate_panics_total 1`, `bedplate_connections 5`,
		`bedplate_connections_refused_total 6`, `bedplate_requests_running 7`,
	} {
		if !strings.Contains("\n"+text, "\n"+line+"\n") {
			t.Errorf("missing: %s", line)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}
