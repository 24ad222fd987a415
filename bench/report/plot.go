package report

import (
	"fmt"
	"image/color"
	"math"
	"os"
	"path/filepath"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// chart is one figure: bars of a metric, a group for each scenario, a colour for each peer.
type chart struct {
	file, title, axis string
	metric            Metric
	ratios            bool // to the reference, which is then the line at 1
}

var charts = []chart{
	{"cpu.svg", "CPU time of the proxy", "ratio to %s", CPU, true},
	{"machine.svg", "CPU time of the whole machine", "ratio to %s", Machine, true},
	{"latency.svg", "Latency, 99th percentile", "ratio to %s", P99, true},
	{"memory.svg", "User-space memory of a session", "KiB", Memory, false},
}

// colours keep apart for those who see few of them (Okabe and Ito), in the order of peers.
var colours = []color.Color{
	color.RGBA{0, 114, 178, 255},
	color.RGBA{230, 159, 0, 255},
	color.RGBA{0, 158, 115, 255},
	color.RGBA{204, 121, 167, 255},
	color.RGBA{86, 180, 233, 255},
	color.RGBA{213, 94, 0, 255},
	color.RGBA{240, 228, 66, 255},
	color.RGBA{0, 0, 0, 255},
}

// Plots writes the charts that the rows have figures for into a folder, as SVG.
func (r *Report) Plots(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for i := range charts {
		if err := r.plot(&charts[i], dir); err != nil {
			return fmt.Errorf("plot %s: %w", charts[i].file, err)
		}
	}
	return nil
}

// figure is what one bar shows.
func (c *chart) figure(row *Row) (Spread, bool) {
	if row == nil {
		return Spread{}, false
	}
	s := row.Values[c.metric]
	if c.ratios {
		s = row.Ratios[c.metric]
	} else {
		s = Spread{s.Median / 1024, s.Min / 1024, s.Max / 1024, s.N}
	}
	return s, s.N > 0 && s.Max > 0
}

// bars is a peer's part of a chart: for each scenario a bar up to the median, and a line from the
// smallest to the largest round.
type bars struct {
	spreads       []Spread
	color         color.Color
	offset, width float64 // of a bar's left edge from the middle of its group, in groups
}

// Plot draws the bars; it makes them a plot.Plotter.
func (b *bars) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	line := draw.LineStyle{Color: color.Gray{64}, Width: vg.Points(0.8)}
	for i, s := range b.spreads {
		if s.N == 0 {
			continue
		}
		left := x(float64(i) + b.offset)
		right := x(float64(i) + b.offset + b.width)
		c.FillPolygon(b.color, []vg.Point{{X: left, Y: y(0)}, {X: left, Y: y(s.Median)}, {X: right, Y: y(s.Median)}, {X: right, Y: y(0)}})
		if s.N > 1 {
			middle := (left + right) / 2
			c.StrokeLine2(line, middle, y(s.Min), middle, y(s.Max))
		}
	}
}

// DataRange tells how much room the bars need; it makes them a plot.DataRanger.
func (b *bars) DataRange() (xmin, xmax, ymin, ymax float64) {
	for _, s := range b.spreads {
		ymin, ymax = min(ymin, s.Min), max(ymax, s.Max)
	}
	return -0.5, float64(len(b.spreads)) - 0.5, ymin, ymax
}

// Thumbnail draws the sign of the legend; it makes them a plot.Thumbnailer.
func (b *bars) Thumbnail(c *draw.Canvas) {
	c.FillPolygon(b.color, []vg.Point{c.Min, {X: c.Min.X, Y: c.Max.Y}, c.Max, {X: c.Max.X, Y: c.Min.Y}})
}

func (r *Report) plot(c *chart, dir string) error {
	var scenarios []string
	for _, sc := range r.Scenarios {
		for _, p := range r.Peers {
			if _, ok := c.figure(r.row(sc.Name, p.Name)); ok {
				scenarios = append(scenarios, sc.Name)
				break
			}
		}
	}
	var peers []string
	byPeer := map[string]*bars{}
	for _, p := range r.Peers {
		b, shown := &bars{}, false
		for _, sc := range scenarios {
			s, ok := c.figure(r.row(sc, p.Name))
			shown = shown || ok
			b.spreads = append(b.spreads, s)
		}
		if shown {
			peers, byPeer[p.Name] = append(peers, p.Name), b
		}
	}
	if len(peers) == 0 {
		return nil
	}
	pl := plot.New()
	pl.Title.Text = c.title
	pl.Y.Label.Text = c.axis
	pl.Legend.Top = true
	pl.Add(plotter.NewGrid())
	for i, name := range peers {
		b := byPeer[name]
		b.color, b.width = colours[i%len(colours)], 0.85/float64(len(peers))
		b.offset = (float64(i) - float64(len(peers))/2) * b.width
		pl.Add(b)
		pl.Legend.Add(name, b)
	}
	if c.ratios {
		pl.Y.Label.Text = fmt.Sprintf(c.axis, r.Reference)
		one := plotter.NewFunction(func(float64) float64 { return 1 })
		one.Width = vg.Points(0.7)
		pl.Add(one)
	}
	pl.Y.Max *= 1.3 // room for the legend
	pl.NominalX(scenarios...)
	pl.X.Tick.Label.Rotation = math.Pi / 4
	pl.X.Tick.Label.XAlign, pl.X.Tick.Label.YAlign = text.XRight, text.YCenter
	width := vg.Points(float64(10*(len(peers)+1)*len(scenarios))) + vg.Inch
	return pl.Save(max(width, 5*vg.Inch), 4.5*vg.Inch, filepath.Join(dir, c.file))
}
