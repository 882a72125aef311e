// Sends and reads events with the CloudEvents SDK for JavaScript.
//
// client.cjs send <events URL> <access token>   each mode; prints what was answered, one line for each
// client.cjs read <registry URL>                records on standard input, one JSON line for each
"use strict";

const readline = require("node:readline");
const avro = require("avsc");
const { CloudEvent, HTTP, Kafka } = require("cloudevents");

const event = (mode, number = 1, data) =>
  new CloudEvent({
    id: `${mode}-${number}`,
    source: "/javascript/7",
    type: "com.example.measured",
    subject: `javascript-${mode}-${number}`,
    time: "2026-03-01T12:00:00.123Z",
    datacontenttype: "application/json",
    comexample: "of no meaning here",
    data: data ?? { mode, größe: "5%", numbers: [1, -2.5, null] },
  });

const messages = () => {
  const binary = event("binary");
  const structured = event("structured");
  const batch = [1, 2, 3].map((number) => event("batch", number));
  const plain = event("bytes").data;
  // What is given as bytes travels as base64.
  const bytes = event("bytes", 1, new Uint8Array(Buffer.from(JSON.stringify(plain))));
  const batched = {
    headers: { "content-type": "application/cloudevents-batch+json" },
    body: JSON.stringify(batch),
  };
  return [
    { mode: "binary", events: [binary], message: HTTP.binary(binary) },
    { mode: "structured", events: [structured], message: HTTP.structured(structured) },
    { mode: "batch", events: batch, message: batched },
    { mode: "bytes", events: [bytes], message: HTTP.structured(bytes), payload: plain },
  ];
};

const send = async (url, token) => {
  for (const { mode, events, message, payload } of messages()) {
    const headers = { ...message.headers, authorization: `Bearer ${token}` };
    const answer = await fetch(url, { method: "POST", headers, body: message.body });
    const sent = events.map(({ subject, data }) => ({ device: subject, payload: payload ?? data }));
    const told = {
      status: answer.status,
      token: answer.headers.get("consistency-token"),
      body: await answer.json(),
    };
    console.log(JSON.stringify({ mode, sent, ...told }));
  }
};

const decoded = async (registry, value) => {
  if (value[0] !== 0) throw new Error(`the value begins with ${value[0]}`);
  const answer = await fetch(`${registry}/schemas/ids/${value.readUInt32BE(1)}`);
  const { schema } = await answer.json();
  return avro.Type.forSchema(JSON.parse(schema)).fromBuffer(value.subarray(5));
};

const read = async (registry) => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const { headers, key, value } = JSON.parse(line);
    const message = { headers, key, value: Buffer.from(value, "hex") };
    const { id, source, type, subject, time, datacontenttype, partitionkey, data } =
      Kafka.toEvent(message);
    const attributes = { id, source, type, subject, time, datacontenttype, partitionkey };
    const datum = await decoded(registry, Buffer.from(data));
    console.log(JSON.stringify({ ...attributes, data: datum }));
  }
};

const [command, ...args] = process.argv.slice(2);
({ send, read })[command](...args);
