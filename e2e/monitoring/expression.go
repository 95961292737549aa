package monitoring

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// Expressions is the parser of everything here: PromQL without what is experimental.
var Expressions = parser.NewParser(parser.Options{})

// Check says what an expression asks for that nobody tells. `jobs` are the values of
// the label `job`.
func (s Series) Check(expression string, jobs []string) []string {
	parsed, err := Expressions.ParseExpr(expression)
	if err != nil {
		return []string{err.Error()}
	}
	var findings []string
	find := func(format string, arguments ...any) {
		findings = append(findings, fmt.Sprintf(format, arguments...))
	}
	parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
		switch typed := node.(type) {
		case *parser.VectorSelector:
			if problem := s.selects(typed, jobs); problem != "" {
				find("%s: %s", typed, problem)
			}
		case *parser.AggregateExpr:
			for _, label := range typed.Grouping {
				if !s.has(typed.Expr, label) {
					find("%s: no series has the label %q", typed, label)
				}
			}
		case *parser.BinaryExpr:
			if typed.VectorMatching == nil {
				break
			}
			for _, label := range typed.VectorMatching.MatchingLabels {
				if !s.has(typed.LHS, label) || !s.has(typed.RHS, label) {
					find("%s: not both sides have the label %q", typed, label)
				}
			}
		}
		return nil
	})
	return findings
}

// selects says why a selector finds nothing.
func (s Series) selects(selector *parser.VectorSelector, jobs []string) string {
	name := selector.Name
	candidates, there := s[name]
	if !there {
		return fmt.Sprintf("no operator and no gateway tells %q", name)
	}
	for _, matcher := range selector.LabelMatchers {
		if matcher.Name == labels.MetricName {
			continue
		}
		if !has(candidates, matcher.Name) {
			return fmt.Sprintf("%s has no label %q", name, matcher.Name)
		}
		var values []string
		switch {
		case slices.Contains(Open, matcher.Name):
			continue
		case matcher.Name == "job":
			values = jobs
		case slices.Contains(Scraped, matcher.Name):
			continue
		default:
			for _, candidate := range candidates {
				values = append(values, candidate.Get(matcher.Name))
			}
		}
		for _, wanted := range alternatives(matcher) {
			if !slices.ContainsFunc(values, wanted.Matches) {
				return fmt.Sprintf("%s: no series has such a %s, of %q", wanted, matcher.Name, slices.Compact(slices.Sorted(slices.Values(values))))
			}
		}
		candidates = slices.DeleteFunc(slices.Clone(candidates), func(candidate labels.Labels) bool {
			return matcher.Name != "job" && !matcher.Matches(candidate.Get(matcher.Name))
		})
	}
	if len(candidates) == 0 {
		return "each of its labels is there, but no series has all"
	}
	return ""
}

// alternatives are matchers that each have to find something: of a|b both, and of
// what is not to be found, that it could be.
func alternatives(matcher *labels.Matcher) []*labels.Matcher {
	positive := matcher
	if matcher.Type == labels.MatchNotEqual || matcher.Type == labels.MatchNotRegexp {
		positive, _ = matcher.Inverse()
	}
	var each []*labels.Matcher
	for _, value := range positive.SetMatches() {
		each = append(each, labels.MustNewMatcher(labels.MatchEqual, matcher.Name, value))
	}
	if len(each) == 0 {
		return []*labels.Matcher{positive}
	}
	return each
}

// has says whether a selector below an expression can have this label.
func (s Series) has(expression parser.Expr, label string) bool {
	found := false
	parser.Inspect(expression, func(node parser.Node, _ []parser.Node) error {
		if selector, is := node.(*parser.VectorSelector); is && has(s[selector.Name], label) {
			found = true
		}
		return nil
	})
	return found
}

func has(series []labels.Labels, label string) bool {
	return slices.Contains(Scraped, label) || slices.ContainsFunc(series, func(one labels.Labels) bool { return one.Has(label) })
}

var templated = regexp.MustCompile(`\$labels\.(\w+)|\{\{\s*(\w+)\s*\}\}`)

// CheckText says which labels a text names, as {{ $labels.pod }} or {{pod}}, that the
// result of the expression cannot have.
func (s Series) CheckText(text, expression string) []string {
	parsed, err := Expressions.ParseExpr(expression)
	if err != nil {
		return []string{err.Error()}
	}
	kept := slices.Compact(slices.Sorted(slices.Values(s.results(parsed))))
	var findings []string
	for _, found := range templated.FindAllStringSubmatch(text, -1) {
		label := found[1] + found[2]
		if !slices.Contains(kept, label) {
			findings = append(findings, fmt.Sprintf("{{ %s }}: the result has only %q", label, kept))
		}
	}
	return findings
}

// results are the labels that a result can have. What joins two vectors gives those
// of the left one; nothing here asks for more by group_left.
func (s Series) results(expression parser.Expr) []string {
	switch typed := expression.(type) {
	case *parser.VectorSelector:
		kept := slices.Clone(Scraped)
		for _, one := range s[typed.Name] {
			one.Range(func(label labels.Label) { kept = append(kept, label.Name) })
		}
		return kept
	case *parser.MatrixSelector:
		return s.results(typed.VectorSelector)
	case *parser.ParenExpr:
		return s.results(typed.Expr)
	case *parser.AggregateExpr:
		inner := s.results(typed.Expr)
		if typed.Op == parser.TOPK || typed.Op == parser.BOTTOMK {
			return inner
		}
		return slices.DeleteFunc(inner, func(label string) bool {
			return slices.Contains(typed.Grouping, label) == typed.Without
		})
	case *parser.BinaryExpr:
		if left := s.results(typed.LHS); left != nil {
			return left
		}
		return s.results(typed.RHS)
	case *parser.Call:
		for _, argument := range typed.Args {
			switch argument.Type() {
			case parser.ValueTypeVector, parser.ValueTypeMatrix:
				kept := s.results(argument)
				switch typed.Func.Name {
				case "histogram_quantile":
					kept = slices.DeleteFunc(kept, func(label string) bool { return label == "le" })
				case "absent":
					// Only those that the selector asks for by name: here the job.
					kept = []string{"job"}
				}
				return kept
			}
		}
	}
	return nil
}
