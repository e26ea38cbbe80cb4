// Requests to the server. The secret is behind # in the address of the page and goes into a header of each request.

const secret = new URLSearchParams(location.hash.slice(1)).get("key") ?? "";

// What the server refuses: its sentence, the status, and whatever else it says.
export class Refused extends Error {
  constructor(status, answer) {
    super(answer.told ?? `The server answered ${status}.`);
    this.status = status;
    this.answer = answer;
  }
}

// No answer: the server has ended, or the computer sleeps.
export class Unreachable extends Error {}

async function request(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { ...options, headers: { "X-Review-Key": secret, ...options.headers } });
  } catch {
    throw new Unreachable("The server does not answer.");
  }
  if (!response.ok) throw new Refused(response.status, await response.json().catch(() => ({})));
  return response;
}

// What samples are ranked by: by, the title of a judgement, and of, a keypoint; "" for all of them.
const query = (ranked) => new URLSearchParams(ranked);

export const summary = async (ranked) => (await request(`api/review?${query(ranked)}`)).json();

export const sample = async (rank, ranked) => (await request(`api/samples/${rank}?${query(ranked)}`)).json();

export const picture = async (rank, ranked) =>
  URL.createObjectURL(await (await request(`api/pictures/${rank}?${query(ranked)}`)).blob());

export async function change(wish) {
  const headers = { "Content-Type": "application/json" };
  return (await request("api/changes", { method: "POST", body: JSON.stringify(wish), headers })).json();
}

// What the address says, so that a reload shows the same sample: its rank, from 0, or null, and what samples are ranked by.
export function inAddress() {
  const said = new URLSearchParams(location.hash.slice(1));
  const text = said.get("sample") ?? "";
  return { rank: /^\d+$/.test(text) ? Number(text) - 1 : null, ranked: { by: said.get("by") ?? "", of: said.get("of") ?? "" } };
}

export function setAddress(rank, ranked) {
  const more = Object.entries(ranked).filter(([, value]) => value);
  history.replaceState(null, "", `#key=${secret}&sample=${rank + 1}${more.map(([name, value]) => `&${name}=${encodeURIComponent(value)}`).join("")}`);
}
