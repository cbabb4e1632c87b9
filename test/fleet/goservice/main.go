// A Go service that serves its runtime's figures as client_golang does. With -leak it keeps what it allocates.
package main

import (
	"flag"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"time"
)

var kept [][]byte

func main() {
	leak := flag.Bool("leak", false, "keep every block")
	mibPerSecond := flag.Float64("mib", 4, "MiB allocated per second")
	flag.Parse()

	go func() {
		const blockBytes = 16 << 10
		blocksPerTick := int(*mibPerSecond * (1 << 20) / blockBytes / 50)
		base := make([]byte, 8<<20)
		for tick := 0; ; tick++ {
			for i := 0; i < blocksPerTick; i++ {
				block := make([]byte, blockBytes)
				block[0] = base[0]
				if *leak {
					kept = append(kept, block)
				}
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()

	http.HandleFunc("/metrics", func(response http.ResponseWriter, _ *http.Request) {
		var memory runtime.MemStats
		runtime.ReadMemStats(&memory)
		var collections debug.GCStats
		debug.ReadGCStats(&collections)
		fmt.Fprintf(response, "# HELP go_info Information about the Go environment.\n# TYPE go_info gauge\n")
		fmt.Fprintf(response, "go_info{version=%q} 1\n", runtime.Version())
		fmt.Fprintf(response, "go_gc_duration_seconds{quantile=\"0\"} 1e-05\n")
		fmt.Fprintf(response, "go_gc_duration_seconds_sum %g\n", collections.PauseTotal.Seconds())
		fmt.Fprintf(response, "go_gc_duration_seconds_count %d\n", collections.NumGC)
		for name, value := range map[string]uint64{
			"heap_alloc_bytes":    memory.HeapAlloc,
			"heap_sys_bytes":      memory.HeapSys,
			"heap_released_bytes": memory.HeapReleased,
			"stack_inuse_bytes":   memory.StackInuse,
			"next_gc_bytes":       memory.NextGC,
		} {
			fmt.Fprintf(response, "# TYPE go_memstats_%s gauge\ngo_memstats_%s %e\n", name, name, float64(value))
		}
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Printf("goservice: http://%s/metrics\n", listener.Addr())
	panic(http.Serve(listener, nil))
}
