// dashlint reads dashboards of Grafana (*.json), rule files of Prometheus (*.yaml), pages with queries (*.md) and
// configurations of Alloy (*.alloy: their grammar alone), and writes as JSON what is wrong with them and what they say: the series that each query takes, the rules. What the
// product asks of them is up to the reader of that, tools/check_dashboards.py.
//
// Dashboards are decoded strictly, by the types that Grafana generates from its own schemas.
package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	alloy "github.com/grafana/alloy/syntax/parser"
	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

type report struct {
	Problems []string `json:"problems"`
	PromQL   []query  `json:"promql"`
	LogQL    []query  `json:"logql"`
	Rules    []rule   `json:"rules"`
}

// A query, and what of it can be compared with what there is.
type query struct {
	File      string     `json:"file"`
	Where     string     `json:"where"`
	Text      string     `json:"text"`
	Selectors []selector `json:"selectors"`
	Groupings []grouping `json:"groupings"`
}

type selector struct {
	Metric string            `json:"metric"`
	Labels map[string]string `json:"labels"`
}

// A grouping is `by (labels)` over series of these metrics, to which label_replace and the like add labels.
type grouping struct {
	Labels  []string `json:"labels"`
	Metrics []string `json:"metrics"`
	Added   []string `json:"added"`
}

type rule struct {
	File        string            `json:"file"`
	Group       string            `json:"group"`
	Alert       string            `json:"alert"`
	Record      string            `json:"record"`
	For         string            `json:"for"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

var (
	durations = regexp.MustCompile(`\$\{?(__rate_interval|__interval|__range)\}?`)
	variables = regexp.MustCompile(`\$(\w+|\{\w+(:\w+)?\})`)
	blocks    = regexp.MustCompile("(?ms)^```promql\n(.*?)^```$")
	promql    = parser.NewParser(parser.Options{})
)

func main() {
	plugins.RegisterDefaultPlugins()
	found := report{Problems: []string{}}
	for _, file := range os.Args[1:] {
		switch filepath.Ext(file) {
		case ".json":
			found.dashboard(file)
		case ".md":
			found.page(file)
		case ".alloy":
			found.collector(file)
		default:
			found.ruleFile(file)
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(found); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func (r *report) problem(file, format string, values ...any) {
	r.Problems = append(r.Problems, file+": "+strings.TrimSpace(fmt.Sprintf(format, values...)))
}

func (r *report) collector(file string) {
	raw, err := os.ReadFile(file)
	if err == nil {
		_, err = alloy.ParseFile(file, raw)
	}
	if err != nil {
		r.problem(file, "%v", err)
	}
}

func (r *report) dashboard(file string) {
	raw, err := os.ReadFile(file)
	if err != nil {
		r.problem(file, "%v", err)
		return
	}
	var strict dashboard.Dashboard
	// For variables that are right it returns an error without a text.
	if err := strict.UnmarshalJSONStrict(raw); err != nil && strings.TrimSpace(err.Error()) != "" {
		r.problem(file, "%v", err)
	} else if err := strict.Validate(); err != nil {
		r.problem(file, "%v", err)
	}
	var model struct {
		Panels      []panel `json:"panels"`
		Annotations struct {
			List []struct {
				Name string `json:"name"`
				target
			} `json:"list"`
		} `json:"annotations"`
	}
	if err := json.Unmarshal(raw, &model); err != nil {
		r.problem(file, "%v", err)
		return
	}
	ids := map[int]bool{}
	for _, it := range model.Panels {
		if ids[it.ID] {
			r.problem(file, "%s: its id %d is another panel's too", it.Title, it.ID)
		}
		ids[it.ID] = true
		for _, target := range it.Targets {
			r.query(file, it.Title, target)
		}
	}
	for _, it := range model.Annotations.List {
		r.query(file, it.Name, it.target)
	}
}

type panel struct {
	ID      int      `json:"id"`
	Title   string   `json:"title"`
	Targets []target `json:"targets"`
}

type target struct {
	Expr       string `json:"expr"`
	Datasource struct {
		Type string `json:"type"`
	} `json:"datasource"`
}

func (r *report) query(file, where string, it target) {
	// A value of any kind in place of each variable.
	text := variables.ReplaceAllString(durations.ReplaceAllString(it.Expr, "5m"), "x")
	switch it.Datasource.Type {
	case "prometheus":
		r.promql(file, where, text)
	case "loki":
		r.LogQL = append(r.LogQL, query{File: file, Where: where, Text: text})
	}
}

func (r *report) promql(file, where, text string) {
	expr, err := promql.ParseExpr(text)
	if err != nil {
		r.problem(file, "%s: %q: %v", where, text, err)
		return
	}
	it := query{File: file, Where: where, Text: text, Selectors: []selector{}, Groupings: []grouping{}}
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		switch node := node.(type) {
		case *parser.VectorSelector:
			labels := map[string]string{}
			for _, matcher := range node.LabelMatchers {
				if matcher.Name != model.MetricNameLabel {
					labels[matcher.Name] = matcher.Value
				}
			}
			it.Selectors = append(it.Selectors, selector{node.Name, labels})
		case *parser.AggregateExpr:
			if !node.Without && len(node.Grouping) > 0 {
				it.Groupings = append(it.Groupings, groupingOf(node))
			}
		}
		return nil
	})
	r.PromQL = append(r.PromQL, it)
}

func groupingOf(node *parser.AggregateExpr) grouping {
	it := grouping{Labels: node.Grouping, Metrics: []string{}, Added: []string{}}
	parser.Inspect(node.Expr, func(inner parser.Node, _ []parser.Node) error {
		switch inner := inner.(type) {
		case *parser.VectorSelector:
			it.Metrics = append(it.Metrics, inner.Name)
		case *parser.Call:
			if inner.Func.Name == "label_replace" || inner.Func.Name == "label_join" {
				it.Added = append(it.Added, inner.Args[1].(*parser.StringLiteral).Val)
			}
		}
		return nil
	})
	return it
}

// The queries in a page's blocks of promql: each begins at the left, lines that go on with it do not.
func (r *report) page(file string) {
	raw, err := os.ReadFile(file)
	if err != nil {
		r.problem(file, "%v", err)
		return
	}
	for _, block := range blocks.FindAllStringSubmatch(string(raw), -1) {
		for _, text := range strings.Split(strings.ReplaceAll(strings.TrimSpace(block[1]), "\n ", " "), "\n") {
			r.promql(file, "promql", text)
		}
	}
}

func (r *report) ruleFile(file string) {
	groups, errs := rulefmt.ParseFile(file, false, model.UTF8Validation, promql, slog.New(slog.DiscardHandler))
	for _, err := range errs {
		r.problem(file, "%v", err)
	}
	if groups == nil {
		return
	}
	for _, group := range groups.Groups {
		for _, it := range group.Rules {
			r.Rules = append(r.Rules, rule{file, group.Name, it.Alert, it.Record, it.For.String(), it.Labels, it.Annotations})
			r.promql(file, it.Alert+it.Record, it.Expr)
		}
	}
}
