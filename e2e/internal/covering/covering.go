// Package covering makes few rows in which every two levels of every two factors
// meet: an all-pairs covering array, for factors that stand inside each other.
//
// A factor is a field, a level is one way to write it. A field stands in a row
// only where the field around it is written in a way that holds it: a rule's
// paths are not there in a row whose rules are an empty list. Two levels have
// met only in a row in which both fields stand.
package covering

// Root is the parent of a factor that always stands.
const Root = -1

// Nowhere is the level of a factor that does not stand in a row.
const Nowhere = -1

// Factor is one field.
type Factor struct {
	// Parent is the index of the factor around this one, or Root. Parents come
	// before what they hold.
	Parent int
	// Holds tells of each level whether factors inside stand in it.
	Holds []bool
}

// Pair is two levels of two factors, the lower factor first.
type Pair struct {
	F, Level, G, Other int
}

// Rows gives a level for each factor, row by row, until all pairs have met that
// can. It is greedy and without chance: the same factors give the same rows.
func Rows(factors []Factor) [][]int {
	c := &cover{
		factors: factors,
		open:    map[Pair]bool{},
		used:    make([][]int, len(factors)),
		inside:  make([]int, len(factors)),
	}
	for f, factor := range factors {
		c.used[f] = make([]int, len(factor.Holds))
		for outer := factor.Parent; outer != Root; outer = factors[outer].Parent {
			c.inside[outer]++
		}
	}
	order := Pairs(factors)
	for _, pair := range order {
		c.open[pair] = true
	}
	var rows [][]int
	for _, pair := range order {
		if c.open[pair] {
			rows = append(rows, c.row(pair))
		}
	}
	return rows
}

// Pairs lists the pairs that can meet: all but a field together with a level
// of a field around it that does not hold it.
func Pairs(factors []Factor) []Pair {
	var pairs []Pair
	for g := range factors {
		for f := range g {
			inside := within(factors, g, f)
			for level, holds := range factors[f].Holds {
				if inside && !holds {
					continue
				}
				for other := range factors[g].Holds {
					pairs = append(pairs, Pair{f, level, g, other})
				}
			}
		}
	}
	return pairs
}

// within tells whether a factor stands inside another, at any depth.
func within(factors []Factor, inner, outer int) bool {
	for f := factors[inner].Parent; f != Root; f = factors[f].Parent {
		if f == outer {
			return true
		}
	}
	return false
}

type cover struct {
	factors []Factor
	open    map[Pair]bool
	// used counts the rows of each level: of levels that are worth the same,
	// the one that was seen least is taken.
	used [][]int
	// inside counts the factors that stand inside each one, at any depth.
	inside []int
}

// row is a row in which the pair meets, and as many open pairs as a greedy
// choice, factor by factor, can add.
func (c *cover) row(pair Pair) []int {
	const undecided = -2
	row := make([]int, len(c.factors))
	for f := range row {
		row[f] = undecided
	}
	row[pair.F], row[pair.G] = pair.Level, pair.Other
	for f := range c.factors {
		if row[f] == undecided {
			row[f] = c.best(row, f, pair)
		}
	}
	for g, other := range row {
		for f, level := range row[:g] {
			if level != Nowhere && other != Nowhere {
				delete(c.open, Pair{f, level, g, other})
			}
		}
		if other != Nowhere {
			c.used[g][other]++
		}
	}
	return row
}

func (c *cover) best(row []int, f int, pair Pair) int {
	parent := c.factors[f].Parent
	if parent != Root && (row[parent] == Nowhere || !c.factors[parent].Holds[row[parent]]) {
		return Nowhere
	}
	mustHold := within(c.factors, pair.F, f) || within(c.factors, pair.G, f)
	best, bestGain := Nowhere, 0
	for level, holds := range c.factors[f].Holds {
		if mustHold && !holds {
			continue
		}
		gain := 0
		for g, other := range row {
			switch {
			case other < 0 || g == f:
			case g < f && c.open[Pair{g, other, f, level}], g > f && c.open[Pair{f, level, g, other}]:
				gain++
			}
		}
		if !holds {
			// What stands inside could meet open pairs too, were it held.
			gain -= c.inside[f]
		}
		if best == Nowhere || gain > bestGain || gain == bestGain && c.used[f][level] < c.used[f][best] {
			best, bestGain = level, gain
		}
	}
	return best
}
