// Package config reads the HAProxy configuration language: files, words, conditions, sections and
// keywords, into a model of plain values, with every mistake reported at its place. It opens no
// socket, resolves no name of a host and knows nothing of the engine that runs the model.
//
// A line goes the way of the files: lexer.go makes words of it, each with its place; cond.go decides
// whether it is read at all; parser.go gives it to the current section, whose keyword table
// (keywords_*.go) says what it means, where it may stand and who reads its words; proxy.go deals with
// inheritance. When all files were read, validate.go makes the checks that need the whole, and what
// remains is the Config of model.go and the Diagnostics of diag.go, which a Reporter prints.
package config
