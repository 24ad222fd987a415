// Package engine turns a configuration into workers, listeners, backends and loggers, and stops them
// again. It is the only package that knows all of them. It does not parse, handles no signal and moves no byte.
package engine
