// Package admin holds the commands of the stats socket that look at the engine or change it, in HAProxy's words. It
// keeps no state: what a command changes, the engine remembers.
package admin
