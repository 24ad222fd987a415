module github.com/penstock/penstock/bench

go 1.26.0

require (
	github.com/HdrHistogram/hdrhistogram-go v1.4.0
	github.com/google/go-cmp v0.7.0
	github.com/penstock/penstock v0.0.0
	golang.org/x/sys v0.49.0
)

replace github.com/penstock/penstock => ../
