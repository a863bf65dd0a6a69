// The OTLP receiver of the OpenTelemetry Collector, as it is, on the address that is its argument. It
// prints what it took, as the Collector's own JSON: {"kind": "traces" | "metrics", "data": …}, a line each.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
)

var printing sync.Mutex

func tell(kind string, data []byte) {
	line, err := json.Marshal(map[string]any{"kind": kind, "data": json.RawMessage(data)})
	check(err)
	printing.Lock()
	defer printing.Unlock()
	fmt.Println(string(line))
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func takeTraces(_ context.Context, traces ptrace.Traces) error {
	data, err := (&ptrace.JSONMarshaler{}).MarshalTraces(traces)
	if err == nil {
		tell("traces", data)
	}
	return err
}

func takeMetrics(_ context.Context, metrics pmetric.Metrics) error {
	data, err := (&pmetric.JSONMarshaler{}).MarshalMetrics(metrics)
	if err == nil {
		tell("metrics", data)
	}
	return err
}

func main() {
	ctx := context.Background()
	factory := otlpreceiver.NewFactory()
	config := factory.CreateDefaultConfig()
	check(confmap.NewFromStringMap(map[string]any{
		"protocols": map[string]any{"http": map[string]any{"endpoint": os.Args[1]}},
	}).Unmarshal(config))
	settings := receiver.Settings{
		ID:                component.NewID(factory.Type()),
		TelemetrySettings: componenttest.NewNopTelemetrySettings(),
	}
	traces, err := consumer.NewTraces(takeTraces)
	check(err)
	metrics, err := consumer.NewMetrics(takeMetrics)
	check(err)
	// Both are one receiver of one port inside.
	first, err := factory.CreateTraces(ctx, settings, config, traces)
	check(err)
	second, err := factory.CreateMetrics(ctx, settings, config, metrics)
	check(err)
	check(first.Start(ctx, componenttest.NewNopHost()))
	check(second.Start(ctx, componenttest.NewNopHost()))
	tell("ready", []byte("true"))
	select {}
}
