module bedplate.dev/engine-watch

go 1.24
