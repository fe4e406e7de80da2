package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"math/rand"
	"os"
	"sync"
	"time"
)

// path is how a link treats packets, the same in both directions.
type path struct {
	delay time.Duration
	// Share of packets that are lost, 0 to 1.
	loss float64
	// Bytes a second.
	rate float64
	// Longest time that a packet waits for those before it; later ones are dropped.
	queue time.Duration
}

// delivery is a packet on its way.
type delivery struct {
	at     time.Time
	packet []byte
}

// direction carries packets from one network device to the other.
type direction struct {
	mutex sync.Mutex
	path  path
	dice  *rand.Rand
	// When the last packet has left the bottleneck.
	free  time.Time
	ahead chan delivery
}

// set begins anew; the same seed loses the packets with the same numbers again.
func (d *direction) set(p path, seed int64) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.path = p
	d.dice = rand.New(rand.NewSource(seed))
	d.free = time.Time{}
}

// schedule tells when a packet of this length that comes now arrives; false if it never does.
func (d *direction) schedule(now time.Time, length int) (time.Time, bool) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.dice.Float64() < d.path.loss {
		return now, false
	}
	if d.free.Before(now) {
		d.free = now
	}
	if d.free.Sub(now) > d.path.queue {
		return now, false
	}
	d.free = d.free.Add(time.Duration(float64(length) / d.path.rate * float64(time.Second)))
	return d.free.Add(d.path.delay), true
}

// carry reads packets from one device and writes those that arrive to the other, in their order.
func (d *direction) carry(from io.Reader, to io.Writer) error {
	d.ahead = make(chan delivery, 65536)
	go func() {
		for next := range d.ahead {
			time.Sleep(time.Until(next.at))
			// A device that is down or full drops packets, as any network does.
			to.Write(next.packet)
		}
	}()
	buffer := make([]byte, 65536)
	for {
		length, err := from.Read(buffer)
		if err != nil {
			return err
		}
		if at, arrives := d.schedule(time.Now(), length); arrives {
			d.ahead <- delivery{at, append([]byte(nil), buffer[:length]...)}
		}
	}
}

// runLink joins two network devices that it makes, for whoever moves them into namespaces: IP packets of any protocol
// pass from one to the other with delay, loss and a bottleneck. Lines on standard input say how.
func runLink(args []string) error {
	flags := flag.NewFlagSet("link", flag.ContinueOnError)
	a := flags.String("a", "", "name of one device, at most 15 characters (required)")
	b := flags.String("b", "", "name of the other device (required)")
	if err := parse(flags, args); err != nil {
		return err
	}
	if *a == "" || *b == "" || flags.NArg() > 0 {
		return badUsage("expected --a NAME --b NAME")
	}
	first, err := openTun(*a)
	if err != nil {
		return err
	}
	second, err := openTun(*b)
	if err != nil {
		return err
	}
	unlimited := path{rate: 1e9, queue: time.Second}
	there, back := &direction{}, &direction{}
	there.set(unlimited, 1)
	back.set(unlimited, 2)
	go there.carry(first, second)
	go back.carry(second, first)
	printJSON(map[string]interface{}{"event": "ready"})
	lines := bufio.NewScanner(os.Stdin)
	for count := 1; lines.Scan(); count++ {
		var delayMS, loss, megabits, queueMS float64
		var seed int64
		if _, err := fmt.Sscan(lines.Text(), &delayMS, &loss, &megabits, &queueMS, &seed); err != nil {
			return badUsage("%q: expected DELAY_MS LOSS MEGABITS_A_SECOND QUEUE_MS SEED", lines.Text())
		}
		p := path{
			delay: time.Duration(delayMS * float64(time.Millisecond)),
			loss:  loss,
			rate:  megabits * 1e6 / 8,
			queue: time.Duration(queueMS * float64(time.Millisecond)),
		}
		there.set(p, 2*seed)
		back.set(p, 2*seed+1)
		printJSON(map[string]interface{}{"event": "set", "line": count})
	}
	return nil
}
