// Package scenarios says which traffic is measured and runs it: every scenario with every peer, in
// interleaved rounds, so that what the machine does meanwhile hits all peers alike.
package scenarios
