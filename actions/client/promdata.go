package client

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// promData is the `data` of Prometheus' query answers: a scalar, a vector or a matrix.
type promData struct {
	ResultType string          `json:"resultType"`
	Result     json.RawMessage `json:"result"`
}

type promSeries struct {
	Metric     map[string]string `json:"metric"`
	Value      *promPoint        `json:"value"`
	Values     []promPoint       `json:"values"`
	Histogram  json.RawMessage   `json:"histogram"`
	Histograms json.RawMessage   `json:"histograms"`
}

func (d promData) series() ([]Series, error) {
	switch d.ResultType {
	case "scalar":
		var one promPoint
		if err := json.Unmarshal(d.Result, &one); err != nil {
			return nil, fmt.Errorf("read scalar: %w", err)
		}
		return []Series{{Points: []Point{Point(one)}}}, nil
	case "vector", "matrix":
		return d.many()
	}
	return nil, fmt.Errorf("query answered with a %q, not with numbers", d.ResultType)
}

func (d promData) many() ([]Series, error) {
	var read []promSeries
	if err := json.Unmarshal(d.Result, &read); err != nil {
		return nil, fmt.Errorf("read %s: %w", d.ResultType, err)
	}
	all := make([]Series, 0, len(read))
	for _, s := range read {
		if s.Histogram != nil || s.Histograms != nil {
			return nil, fmt.Errorf("query answered with a native histogram, not with numbers")
		}
		one := Series{Labels: s.Metric}
		if s.Value != nil {
			s.Values = append(s.Values, *s.Value)
		}
		for _, point := range s.Values {
			one.Points = append(one.Points, Point(point))
		}
		all = append(all, one)
	}
	return all, nil
}

// promPoint is written as [seconds, "value"].
type promPoint Point

func (p *promPoint) UnmarshalJSON(raw []byte) error {
	var at json.Number
	var value string
	pair := [2]any{&at, &value}
	var parts []json.RawMessage
	if err := json.Unmarshal(raw, &parts); err != nil || len(parts) != 2 {
		return fmt.Errorf("a sample is not [time, value]")
	}
	for n, part := range parts {
		if err := json.Unmarshal(part, pair[n]); err != nil {
			return fmt.Errorf("a sample is not [time, value]: %w", err)
		}
	}
	when, err := at.Float64()
	if err != nil {
		return fmt.Errorf("a sample's time: %w", err)
	}
	p.At = time.UnixMilli(int64(when*1000 + 0.5)).UTC()
	if p.Value, err = strconv.ParseFloat(value, 64); err != nil {
		return fmt.Errorf("a sample's value: %w", err)
	}
	return nil
}
