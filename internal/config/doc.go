// Package config reads the HAProxy configuration language: files, words, conditions, sections and
// keywords, into a model of plain values, with every mistake reported at its place. It opens no
// socket, resolves no name and knows nothing of the engine that runs the model.
package config
