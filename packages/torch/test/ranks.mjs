// One rank of a group, as distributed.test.ts starts it: plays the part named on the command line on the compiled package and
// prints what came of it as one line of JSON. RANK, WORLD_SIZE and where the others are come by the environment.

import * as torch from "../dist/index.js";

const rank = Number(process.env.RANK);
const size = Number(process.env.WORLD_SIZE);
const timeoutMs = Number(process.env.TIMEOUT_MS ?? 30_000);
const lines = [];
const store = process.env.STORE_FILE && new torch.FileStore(process.env.STORE_FILE, size, { timeoutMs });
const backend = process.env.BACKEND ?? "gloo";
const join = () =>
  torch.initProcessGroup({ backend, timeoutMs, log: (line) => lines.push(line), ...(store ? { store } : {}) });
const print = (result) => console.log(JSON.stringify(result));

// Values that differ by rank and place, made of `salt`; every layout has the same values in row order.
function values(count, salt) {
  return Float32Array.from({ length: count }, (_, i) => Math.sin(1 + i * 0.7 + rank * 1.3 + salt) * 3);
}

function dense(shape, dtype, salt = 0) {
  const count = shape.reduce((product, one) => product * one, 1);
  return torch.fromTypedArray(values(count, salt), { shape }).to(dtype);
}

const LAYOUTS = {
  dense: (dtype) => dense([3, 5], dtype),
  number: (dtype) => dense([], dtype),
  empty: (dtype) => dense([0, 3], dtype),
  turned: (dtype) => dense([4, 3], dtype).transpose(0, 1),
  cut: (dtype) => dense([6, 7], dtype).narrow(0, 1, 3).narrow(1, 2, 4),
  long: (dtype) => dense([3001], dtype),
};

const wait = (work) => work.wait();
const read = (tensors) => tensors.map((x) => x.toArray());
const blank = (shape, dtype) => torch.full(shape, 77, { dtype });

async function collectives() {
  const group = await join();
  const results = [];
  for (const dtype of ["float32", "bfloat16"]) {
    for (const [layout, make] of Object.entries(LAYOUTS)) {
      for (const op of ["sum", "max"]) {
        const x = make(dtype);
        const inputs = x.toArray();
        await wait(group.allReduce(x, { op }));
        results.push({ name: `allReduce ${op} ${dtype} ${layout}`, op, dtype, inputs, output: x.toArray() });
      }
      const x = make(dtype);
      const inputs = x.toArray();
      await wait(group.broadcast(x, { src: size - 1 }));
      results.push({ name: `broadcast ${dtype} ${layout}`, op: "last", dtype, inputs, output: x.toArray() });

      const source = make(dtype);
      const gathered = Array.from({ length: size }, () => make(dtype).mul(0));
      await wait(group.allGather(gathered, source));
      results.push({ name: `allGather ${dtype} ${layout}`, op: "gather", dtype, inputs: source.toArray(), output: read(gathered) }); // biome-ignore format: a record
    }
    // Rank r's part has r rows: rank 0's is empty. The last is a column of a wider tensor.
    const rows = Array.from({ length: size }, (_, of) => of);
    const part = dense([rank, 4], dtype).narrow(1, 1, 2);
    const gathered = rows.map((of) => blank([of, 2], dtype));
    await wait(group.allGather(gathered, part));
    results.push({ name: `allGather ${dtype} uneven`, op: "gather", dtype, inputs: part.toArray(), output: read(gathered) }); // biome-ignore format: a record

    // To rank r go (rank + r) % size elements, so that some pairs send nothing.
    const sent = rows.map((to) => dense([2, (rank + to) % size], dtype, to).transpose(0, 1));
    const received = rows.map((from) => blank([(rank + from) % size, 2], dtype));
    await wait(group.allToAll(received, sent));
    results.push({ name: `allToAll ${dtype} uneven`, op: "exchange", dtype, inputs: read(sent), output: read(received) }); // biome-ignore format: a record

    for (const [name, count] of Object.entries({ uneven: (to) => to * 3, even: () => 300, empty: () => 0 })) {
      const shares = rows.map((to) => dense([2, count(to)], dtype, to).transpose(0, 1));
      const wide = blank([count(rank), 4], dtype);
      await wait(group.reduceScatter(wide.narrow(1, 1, 2), shares));
      results.push({ name: `reduceScatter ${dtype} ${name}`, op: "scatter", dtype, inputs: read(shares), output: wide.narrow(1, 1, 2).toArray(), margin: wide.narrow(1, 0, 1).toArray() }); // biome-ignore format: a record
    }
  }
  await wait(group.barrier());
  await group.monitoredBarrier();

  // Work goes on by itself, in order, and the event loop meanwhile: rank 0 comes late, the others' timers run.
  let ticks = 0;
  if (rank === 0) await new Promise((resolve) => setTimeout(resolve, 300));
  const ones = torch.ones([4]);
  const work = group.allReduce(ones);
  const wasCompleted = work.isCompleted();
  const timer = setInterval(() => ticks++, 10);
  await work.wait();
  clearInterval(timer);
  const late = { wasCompleted, isCompleted: work.isCompleted(), ticks, sum: ones.toArray() };

  const refusals = [
    () => group.allReduce(torch.ones([2], { dtype: "int64" })),
    () => group.allReduce(torch.ones([2]), { op: "mean" }),
    () => group.broadcast(torch.ones([2]), { src: size }),
    () => group.allGather([torch.ones([2])], torch.ones([2])),
    () => group.allToAll([torch.ones([2])], [torch.ones([2])]),
    () => group.reduceScatter(torch.ones([3]), Array(size).fill(torch.ones([2]))),
  ].map(messageOf);
  await wait(group.barrier());
  await group.close();
  const closed = messageOf(() => group.barrier());
  print({ rank, results, late, refusals, closed, lines });
}

function messageOf(call) {
  try {
    call();
    return "no error";
  } catch (error) {
    return error.message.split("\n")[0];
  }
}

// All join; the last rank ends, or stops, before the second collective. The others say how they learned of it.
async function losing(lose) {
  const group = await join();
  await wait(group.allReduce(torch.ones([3])));
  if (rank === size - 1) {
    print({ rank, pid: process.pid });
    process.kill(process.pid, lose);
    await new Promise((resolve) => setTimeout(resolve, 60_000));
  }
  const started = performance.now();
  const message = await wait(group.allReduce(torch.ones([3]))).catch((error) => error.message);
  print({ rank, message, ms: performance.now() - started });
  process.exit(0);
}

async function joining() {
  const started = performance.now();
  const message = await join().then(
    () => "joined",
    (error) => error.message,
  );
  print({ rank, message, ms: performance.now() - started, lines });
}

async function missing() {
  const group = await join();
  if (rank === size - 1) await new Promise((resolve) => setTimeout(resolve, 2_500));
  else print({ rank, message: await group.monitoredBarrier({ timeoutMs: 700 }).catch((error) => error.message) });
  process.exit(0);
}

async function stores() {
  const { port } = process.env;
  const tcp = await torch.TCPStore.connect({ host: "127.0.0.1", port: Number(port ?? 0), isServer: true, timeoutMs });
  const client = await torch.TCPStore.connect({ host: "127.0.0.1", port: tcp.port, isServer: false, timeoutMs });
  const [a, b] = [new torch.PrefixStore("a", tcp), new torch.PrefixStore("b", client)];
  const long = "é".repeat(5000);
  await a.set("key", long);
  const sums = [await a.add("sum", 2), await a.add("sum", 3), await b.add("sum", 10)];
  const waited = await b.wait(["key"], 200).catch((error) => error.message);
  const whole = (await client.get("a/key")) === long;
  print({ sums, whole, seen: [await a.check(["key"]), await b.check(["key"])], deleted: await a.deleteKey("key"), after: await client.check(["a/key"]), waited }); // biome-ignore format: a record
}

const parts = {
  collectives,
  stores,
  joining,
  missing,
  killed: () => losing("SIGKILL"),
  stopped: () => losing("SIGSTOP"),
};
await parts[process.argv[2]]();
