module bedplate.dev/plug-engine

go 1.24
