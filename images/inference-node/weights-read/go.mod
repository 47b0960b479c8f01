module bedplate.dev/weights-read

go 1.24
