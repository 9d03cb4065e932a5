// Makes spans by OpenTelemetry's SDK for JavaScript and sends them by its OTLP exporter, until standard input ends.
// Prints a line with the names of each batch that was acknowledged; a batch that was not is sent again.
// Usage: node send.mjs http://127.0.0.1:4318/v1/traces PREFIX
import { setTimeout as pause } from "node:timers/promises";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";

const [url, prefix] = process.argv.slice(2);
const BATCH = 16;
const exporter = new OTLPTraceExporter({ url, timeoutMillis: 2000 });
const ended = [];
const provider = new BasicTracerProvider({
  resource: resourceFromAttributes({ "service.name": "node-shop" }),
  spanProcessors: [
    { onStart() {}, onEnd: (span) => ended.push(span), forceFlush: async () => {}, shutdown: async () => {} },
  ],
});
const tracer = provider.getTracer("usagetrace");
const exported = (batch) => new Promise((done) => exporter.export(batch, (result) => done(result.code === 0)));

let more = true;
process.stdin.on("end", () => (more = false)).resume();
for (let number = 0; more; ) {
  const names = [];
  for (let each = 0; each < BATCH; each++) {
    const name = `${prefix}-${number++}`;
    names.push(name);
    tracer
      .startSpan("deploy", {
        attributes: {
          "usage.event.type": "deploy",
          "usage.artifact.name": name,
          "usage.artifact.type": "skill",
          "usage.metadata.attempt": number,
          "usage.metadata.ok": true,
        },
      })
      .end();
  }
  const batch = ended.splice(0);
  while (!(await exported(batch))) await pause(20);
  process.stdout.write(names.join(" ") + "\n");
}
process.exit(0);
