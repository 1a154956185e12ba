package rig

import (
	"context"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Load sends requests to one address at a steady pace and counts who answered. It is safe for concurrent use.
type Load struct {
	url    string
	client *http.Client
	stop   context.CancelFunc
	flying sync.WaitGroup
	mu     sync.Mutex
	begun  time.Time
	bins   []Count // one a second, from begun on
	lost   []string
}

// Count is what came back in some time.
type Count struct {
	Answered int
	Failed   int // answers 5xx, and requests without an answer
	ByTrack  map[string]int
}

// Ratio is the share that failed, 0 when nothing came back.
func (c Count) Ratio() float64 {
	if c.Answered == 0 {
		return 0
	}
	return float64(c.Failed) / float64(c.Answered)
}

// Share is the share a track answered.
func (c Count) Share(track string) float64 {
	if c.Answered == 0 {
		return 0
	}
	return float64(c.ByTrack[track]) / float64(c.Answered)
}

func (c *Count) add(other Count) {
	c.Answered += other.Answered
	c.Failed += other.Failed
	if c.ByTrack == nil {
		c.ByTrack = map[string]int{}
	}
	for track, n := range other.ByTrack {
		c.ByTrack[track] += n
	}
}

// StartLoad begins to send perSecond requests a second.
func StartLoad(url string, perSecond int) *Load {
	ctx, stop := context.WithCancel(context.Background())
	l := &Load{
		url: url, stop: stop, begun: time.Now(),
		client: &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 32}},
	}
	l.flying.Go(func() { l.run(ctx, time.Second/time.Duration(perSecond)) })
	return l
}

func (l *Load) run(ctx context.Context, every time.Duration) {
	pace := time.NewTicker(every)
	defer pace.Stop()
	room := make(chan struct{}, 256) // a service that hangs is not drowned
	for {
		select {
		case <-ctx.Done():
			return
		case <-pace.C:
		}
		select {
		case room <- struct{}{}:
			l.flying.Go(func() { l.one(ctx); <-room })
		default:
		}
	}
}

func (l *Load) one(ctx context.Context) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, l.url, nil)
	if err != nil {
		return
	}
	response, err := l.client.Do(request)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		l.lose(err.Error())
		return
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	track := response.Header.Get("X-Track")
	if track == "" {
		l.lose(response.Status)
		return
	}
	l.record(track, response.StatusCode >= 500)
}

// lose counts a request that no version answered.
func (l *Load) lose(why string) {
	l.record("none", true)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost = append(l.lost, time.Now().UTC().Format(time.StampMilli)+" "+why)
}

// Lost tells when and why requests were answered by no version, oldest first.
func (l *Load) Lost() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.lost)
}

func (l *Load) record(track string, failed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	second := int(time.Since(l.begun) / time.Second)
	for len(l.bins) <= second {
		l.bins = append(l.bins, Count{ByTrack: map[string]int{}})
	}
	bin := &l.bins[second]
	bin.Answered++
	bin.ByTrack[track]++
	if failed {
		bin.Failed++
	}
}

// Seconds gives the last n whole seconds, oldest first.
func (l *Load) Seconds(n int) []Count {
	l.mu.Lock()
	defer l.mu.Unlock()
	whole := min(int(time.Since(l.begun)/time.Second), len(l.bins))
	out := []Count{}
	for _, bin := range l.bins[max(0, whole-n):whole] {
		var c Count
		c.add(bin)
		out = append(out, c)
	}
	return out
}

// Total is everything since the start.
func (l *Load) Total() Count {
	l.mu.Lock()
	defer l.mu.Unlock()
	sum := Count{ByTrack: map[string]int{}}
	for _, bin := range l.bins {
		sum.add(bin)
	}
	return sum
}

// Stop ends the load and waits for the requests under way.
func (l *Load) Stop() {
	l.stop()
	l.flying.Wait()
	l.client.CloseIdleConnections()
}
