// Package top is a view of a running process on a terminal: what its frontends, backends, servers and sessions do, second by
// second, with orders for a server or a session. It asks the stats socket and knows nothing else of the process.
//
// Three parts do not know each other's work: a sample is what the socket said (sample.go), a model is what the user
// has chosen and what is shown of the sample (model.go, keys.go), and Render makes lines of a model, without a terminal.
// The package does not read configurations, keeps no data over its end, and has no styles but a handful of fixed ones.
package top
