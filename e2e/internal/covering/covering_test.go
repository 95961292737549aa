package covering

import (
	"reflect"
	"testing"
)

var nested = []Factor{
	{Parent: Root, Holds: []bool{false, false, false, false}},
	{Parent: Root, Holds: []bool{false, false, true, true}},
	{Parent: 1, Holds: []bool{false, true}},
	{Parent: 1, Holds: []bool{false, false, false}},
	{Parent: 2, Holds: []bool{false, false, false, false, false}},
	{Parent: Root, Holds: []bool{false, false, false}},
}

func TestRowsMeetEveryPairThatCanMeet(t *testing.T) {
	rows := Rows(nested)
	met := map[Pair]bool{}
	for _, row := range rows {
		for g, other := range row {
			for f, level := range row[:g] {
				met[Pair{f, level, g, other}] = true
			}
		}
	}
	for _, pair := range Pairs(nested) {
		if !met[pair] {
			t.Errorf("pair %+v meets in no row", pair)
		}
	}
	every := 1
	for _, factor := range nested {
		every *= len(factor.Holds)
	}
	if len(rows) > every/10 {
		t.Errorf("%d rows, too near to the %d of every combination", len(rows), every)
	}
}

func TestAFieldStandsExactlyWhereTheFieldAroundItHoldsIt(t *testing.T) {
	for _, row := range Rows(nested) {
		for f, factor := range nested {
			stands := factor.Parent == Root ||
				row[factor.Parent] != Nowhere && nested[factor.Parent].Holds[row[factor.Parent]]
			if stands != (row[f] != Nowhere) {
				t.Errorf("row %v: factor %d stands: %t, want %t", row, f, row[f] != Nowhere, stands)
			}
		}
	}
}

func TestRowsAreTheSameEachTime(t *testing.T) {
	if !reflect.DeepEqual(Rows(nested), Rows(nested)) {
		t.Error("two runs differ")
	}
}

func TestPairsLeaveOutOnlyWhatCannotMeet(t *testing.T) {
	for _, pair := range Pairs(nested) {
		if pair.F == 1 && within(nested, pair.G, 1) && !nested[1].Holds[pair.Level] {
			t.Errorf("pair %+v cannot meet", pair)
		}
	}
	// All pairs of 4, 4, 2, 3, 5 and 3 levels, less those of the two levels of
	// factor 1 and the one of factor 2 that hold nothing.
	want := 4*(4+2+3+5+3) + 4*3 + 2*(2+3+5) + 2*(3+3) + 1*5 + 3*(5+3) + 5*3
	if got := len(Pairs(nested)); got != want {
		t.Errorf("%d pairs, want %d", got, want)
	}
}
