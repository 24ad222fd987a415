// Package runtimeapi serves the commands of the stats socket. It does not know where the answers come from.
package runtimeapi
