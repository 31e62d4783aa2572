// CUDA's part of the libtorch in the user's cache: PyPI's torch wheel for Linux x86-64 is the build with CUDA, of which the CPU
// libraries are there already. What lacks is fetched beside them, single members of that wheel and of the NVIDIA wheels which it
// pins, in the wheels' own layout (torch/lib beside nvidia/*/lib), where the RPATH of libtorch_cuda looks for them.
// Libraries that libtorch neither links nor opens for what is computed here stay out.
import { existsSync, readFileSync, statfsSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run, SetupError, tail } from "./steps.mjs";
import { fetchMember, openWheel } from "./wheel.mjs";

/**
 * SHA-256 of the RECORD of each wheel of 2.9.1, for CPython 3.11 where it is for one; by those all files are checked.
 * @type {Record<string, string>}
 */
const RECORDS = {
  "torch==2.9.1": "0ee1a542560c9030c0558ac2508e077b4d702951e42cb72dc9ccb8c2fa3cd4db",
  "nvidia-cublas-cu12==12.8.4.1": "8fc0da696d08e7744afdecee8cbc29810648da0b2019976b45e2e46662c536da",
  "nvidia-cuda-cupti-cu12==12.8.90": "e1a55034c9d3dda12dd291ff09cbcfcfc071caba74dc2e70cca6b2868074e299",
  "nvidia-cuda-nvrtc-cu12==12.8.93": "09ca64cb723fb8f60b442dc6b0fa5b708f8edaa19280c047f9f09646da50d054",
  "nvidia-cuda-runtime-cu12==12.8.90": "72c54ba9d7f4cea35edf4eac02bdc1ac23d494f316c39c812c1ee3ede09049bf",
  "nvidia-cudnn-cu12==9.10.2.21": "c0e43f156c35d88467f7ba009eebccd91c7213fefb860a79b090d1ee1e6b9327",
  "nvidia-cufft-cu12==11.3.3.83": "10a42677d316d62b223c89bd16626339212305c9edc630d346a893d036bac598",
  "nvidia-cufile-cu12==1.13.1.3": "38bc33ea8a91f18c7ca6f7a89e299b62bfad912fb6b94f889a64dc2798b76927",
  "nvidia-curand-cu12==10.3.9.90": "809381514927c34e9faa7cf97c8becb5a73837672d276bd15e304a3eaf3eecc3",
  "nvidia-cusolver-cu12==11.7.3.90": "6db8abb03a8ceff726c35b600b6abfdf0915721575c65c6833d42858ab2771d0",
  "nvidia-cusparse-cu12==12.5.8.93": "bbf887b1d645c5deb6624e2167817f4c4dc1dbd6f0f75f1917726ee5f1993b27",
  "nvidia-cusparselt-cu12==0.7.1": "881c8aed4c2de9a78e6048555348dc7fdbbe2aa407bb02bf0a9d275c3baceec3",
  "nvidia-nccl-cu12==2.27.5": "d99f2213e821d7578e4c77731d44bb4ea2cc5427b5639bd9aa142188f6dae7e9",
  "nvidia-nvjitlink-cu12==12.8.93": "63ed5dea679139e01b9f8e56f0897d5d98e6158cb4624862935cd3bd84620918",
  "nvidia-nvshmem-cu12==3.3.20": "0a098bbb6502ffe5b453771378548b18bbeec330961f55735330ed4760c40fac",
};

const LISTING = "cuda-files.json";
const OF_TORCH =
  /^torch\/lib\/(lib(torch_cpu|c10|torch_cuda|torch_cuda_linalg|torch_nvshmem|c10_cuda|caffe2_nvrtc)\.so|libgomp[^/]*)$/;
const OF_NVIDIA = /^nvidia\/[^/]+\/lib\/[^/]+\.so[.0-9]*$/;
const NOT_NEEDED =
  /nvblas|cufftw|cusolverMg|\.alt\.|nvperf|pcsampling|checkpoint|nvshmem_(bootstrap|transport)|cufile_rdma/;

/** Whether CUDA's part of the libtorch in `folder` was fetched and is still there. */
export function hasFetchedCuda(folder) {
  const listing = join(folder, LISTING);
  if (!existsSync(listing)) return false;
  return Object.entries(JSON.parse(readFileSync(listing, "utf8"))).every(([name, size]) => isThere(folder, name, size));
}

/**
 * Puts CUDA's part beside the libtorch `version` in `folder`, which holds `torch/`, and returns the bytes it took from the net.
 * Called again after a cut it goes on where it stopped. `python` has pip, whose own settings say where the index is. Throws
 * SetupError where a library does not come, is not what was published, or does not fit the disk.
 */
export async function fetchCuda({ folder, version, python, note, records = RECORDS, retryMs }) {
  if (`${process.platform}-${process.arch}` !== "linux-x64") {
    throw new SetupError(
      `set-up: expected Linux x64 to fetch CUDA's libraries for, got ${process.platform} ${process.arch}\n` +
        "set LIBTORCH to the torch with CUDA of a Python on this machine",
    );
  }
  const open = async (name, version) => {
    note(`looking up ${name} ${version}`);
    const recordHash = records[`${name}==${version}`];
    if (!recordHash) throw new Error(`internal: no RECORD's hash for ${name}==${version}`);
    return openWheel({ url: await wheelUrl({ name, version, python }), recordHash, retryMs });
  };
  const torch = await open("torch", version);
  const metadata = await torch.read(torch.members.find(({ name }) => name.endsWith(".dist-info/METADATA")));
  const pins = [...metadata.toString().matchAll(/^Requires-Dist: (nvidia-(?!nvtx)[\w-]+)==([\w.]+)/gm)];
  const wheels = [torch];
  for (const [, name, pinned] of pins) wheels.push(await open(name, pinned));

  const wanted = wheels.flatMap((wheel) => {
    const found = wheel.members.filter(({ name }) => (wheel === torch ? OF_TORCH : OF_NVIDIA).test(name));
    return found.filter(({ name }) => !NOT_NEEDED.test(name)).map((member) => ({ wheel, member }));
  });
  for (const name of ["libtorch_cpu", "libtorch_cuda", "libc10_cuda"]) {
    if (wanted.some(({ member }) => member.name === `torch/lib/${name}.so`)) continue;
    throw new SetupError(
      `set-up: expected ${name}.so in the torch wheel of the index, got a wheel without it\n` +
        "look at what pip's index-url names: an index of builds for the CPU has none with CUDA",
    );
  }
  const lacking = wanted.filter(({ member: { name, size } }) => !isThere(folder, name, size));
  checkDisk(folder, lacking);
  const progress = progressOf(lacking, note);
  for (const { wheel, member } of lacking) {
    const onBytes = progress.of(member);
    await fetchMember({ wheel, member, target: join(folder, member.name), onBytes, retryMs });
  }
  const listing = Object.fromEntries(wanted.map(({ member: { name, size } }) => [name, size]));
  writeFileSync(join(folder, LISTING), JSON.stringify(listing, null, 2));
  return progress.bytes();
}

function isThere(folder, name, size) {
  return statSync(join(folder, name), { throwIfNoEntry: false })?.size === size;
}

/**
 * The address of a wheel for CPython 3.11. pip alone knows the user's index, so it is asked for a version that cannot be: it
 * fetches nothing, and lists what it saw.
 */
async function wheelUrl({ name, version, python }) {
  const args = ["-m", "pip", "download", `${name}==${version},!=${version}`, "-vv", "--no-deps", "--only-binary=:all:"];
  args.push(
    "--implementation",
    "cp",
    "--python-version",
    "3.11",
    "--abi",
    "cp311",
    "--abi",
    "none",
    "--dest",
    tmpdir(),
  );
  for (const tag of ["manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux2014_x86_64"])
    args.push("--platform", tag);
  const { output } = await run(python, args);
  const links = [...output.matchAll(/Found link (https?:\S+\.whl)\S* .*version: (\S+)/g)];
  const found = links.find(([, , of]) => of === version)?.[1];
  if (found) return found;
  throw new SetupError(
    `${tail(output, 3)}\nset-up: expected ${name} ${version} for Linux x64 in pip's index, got no such wheel\n` +
      "check the network and pip's proxy and index settings, or set LIBTORCH to the torch with CUDA of a Python on this machine",
  );
}

function checkDisk(folder, lacking) {
  const sizes = lacking.map(({ member }) => member.size);
  // Files are unpacked one after another, each beside what was fetched of it.
  const needed =
    sizes.reduce((sum, size) => sum + size, 0) + Math.max(0, ...lacking.map(({ member }) => member.packedSize));
  const { bavail, bsize } = statfsSync(folder);
  if (needed <= bavail * bsize) return;
  throw new SetupError(
    `set-up: expected ${gigabytes(needed)} GB of free disk space for CUDA's libraries, got ${gigabytes(bavail * bsize)} GB at ${folder}\n` +
      "free some, or set NEOBERT_CACHE to a folder on another disk",
  );
}

function progressOf(lacking, note) {
  const total = lacking.reduce((sum, { member }) => sum + member.end - member.at, 0);
  const started = performance.now();
  let done = 0; // of which an earlier run has fetched some
  let fetched = 0;
  return {
    bytes: () => fetched,
    of({ file }) {
      let isFirst = true;
      return (count) => {
        done += count;
        if (!isFirst) fetched += count;
        isFirst = false;
        const minutesLeft =
          fetched > 0 ? ((total - done) / fetched) * ((performance.now() - started) / 60_000) : undefined;
        const left = minutesLeft === undefined ? "" : `, ${Math.ceil(minutesLeft)} min left`;
        note(`fetching CUDA's libraries: ${gigabytes(done)} of ${gigabytes(total)} GB${left} (${file})`);
      };
    },
  };
}

const gigabytes = (bytes) => (bytes / 1e9).toFixed(1);
