// Package balance chooses servers: the order in which a round robin visits them, the point of a
// ring or the slot of a map that a hash falls on, and the figures by which loads are compared. Its
// tables never change once built, so any number of workers may read one at the same time; whoever
// owns a table replaces it as a whole. It does not know whether a server is up, how many
// connections it carries or who waits for it.
package balance
