package main

import (
	"slices"
	"strings"
)

// withoutSecrets is an environment to be shown: the named variables keep their names and lose their values.
func withoutSecrets(environ, names []string) []string {
	out := slices.Clone(environ)
	for i, entry := range out {
		if name, _, ok := strings.Cut(entry, "="); ok && slices.Contains(names, name) {
			out[i] = name + "=***"
		}
	}
	return out
}
