package balance

// LeastConnKey ranks a server for the least-connections algorithm, lower first: inflight is the
// number of connections it carries or that wait for it, weight its effective weight. An idle server
// precedes all others whatever its weight.
func LeastConnKey(inflight, weight int) int {
	if inflight == 0 {
		return 0
	}
	return (inflight + 1) * MaxWeight / weight
}

// LessLoaded reports whether served connections on a server of effective weight are relatively
// fewer than otherServed on one of otherWeight.
func LessLoaded(served, weight, otherServed, otherWeight int) bool {
	return int64(served)*int64(otherWeight) < int64(otherServed)*int64(weight)
}

// Share is the number of connections that a server may carry under a balance factor, in percent of
// the average: served is what all servers carry together, below is the sum of the effective weights
// of the servers before it in the table, total that of all. Rounding is such that the shares of all
// servers sum up to the slots there are, unless a server has only the one that each is left with.
func Share(served, factor, below, weight, total int) int {
	slots := ((served+1)*factor + 99) / 100
	whole, rest := slots/total, slots%total
	share := weight*whole + (below+weight)*rest/total - below*rest/total
	return max(share, 1)
}
