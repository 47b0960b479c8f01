module bedplate.dev/gateway

go 1.24

require (
	github.com/google/go-tpm v0.9.0
	golang.org/x/sys v0.8.0 // indirect
)

// From Debian's golang-github-google-go-tpm-dev and golang-golang-x-sys-dev; the versions above are names only.
replace (
	github.com/google/go-tpm => /usr/share/gocode/src/github.com/google/go-tpm
	golang.org/x/sys => /usr/share/gocode/src/golang.org/x/sys
)
