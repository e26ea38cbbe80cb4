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

export const summary = async () => (await request("api/review")).json();

export const sample = async (rank) => (await request(`api/samples/${rank}`)).json();

export const picture = async (rank) => URL.createObjectURL(await (await request(`api/pictures/${rank}`)).blob());

export async function change(wish) {
  const headers = { "Content-Type": "application/json" };
  return (await request("api/changes", { method: "POST", body: JSON.stringify(wish), headers })).json();
}

// The rank in the address, from 0, so that a reload shows the same sample; null if there is none.
export function rankInAddress() {
  const text = new URLSearchParams(location.hash.slice(1)).get("sample");
  return /^\d+$/.test(text ?? "") ? Number(text) - 1 : null;
}

export function setAddress(rank) {
  history.replaceState(null, "", `#key=${secret}&sample=${rank + 1}`);
}
