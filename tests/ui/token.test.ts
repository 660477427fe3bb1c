import { Live, type SocketLike } from "@ui/api/live";
import { call } from "@ui/api/rest";
import { refused, signIn, token, wanted } from "@ui/api/token";

const fetched = vi.fn<typeof fetch>();
const sent = () => new Headers(fetched.mock.lastCall![1]!.headers).get("Authorization");

beforeEach(() => {
  fetched.mockReset();
  vi.stubGlobal("fetch", fetched);
  token.value = "";
  wanted.value = "";
});
afterEach(() => vi.unstubAllGlobals());

test("a token goes with every call once it was given", async () => {
  fetched.mockImplementation(() => Promise.resolve(new Response("{}")));
  await call("GET", "v1/cluster");
  expect(sent()).toBe(null);
  signIn("  qrt_a-b.c\n");
  await call("GET", "v1/cluster");
  expect(sent()).toBe("Bearer qrt_a-b.c");
});

test("401 asks for one, and says when the one given is not taken", async () => {
  fetched.mockImplementation(() =>
    Promise.resolve(new Response("{}", { status: 401, headers: { "Content-Type": "x" } })),
  );
  await expect(call("GET", "v1/cluster")).rejects.toThrow();
  expect(wanted.value).toBe("This cluster asks who you are.");
  signIn("abc");
  expect(wanted.value).toBe("");
  await expect(call("GET", "v1/cluster")).rejects.toThrow();
  expect(wanted.value).toBe("The cluster does not take this token, or no longer.");
});

test("what is heard late of a former token asks for nothing", async () => {
  let answer!: (late: Response) => void;
  fetched.mockReturnValueOnce(new Promise((resolve) => (answer = resolve)));
  const answered = call("GET", "v1/cluster");
  signIn("abc");
  answer(new Response("{}", { status: 401 }));
  await expect(answered).rejects.toThrow();
  expect(wanted.value).toBe("");
});

test("what could stand in no header is no token", () => {
  refused("");
  for (const typed of ["", " ", "a b", "é", "a,b"]) {
    signIn(typed);
    expect(wanted.value).toBe("That is no token.");
    expect(token.value).toBe("");
  }
});

test("a connection that is closed with 4401 asks for one", () => {
  const socket = { readyState: 1, send() {}, close() {} } as unknown as SocketLike;
  new Live(() => socket).wake();
  socket.onclose!.call(socket as never, { code: 1006 } as CloseEvent);
  expect(wanted.value).toBe("");
  socket.onclose!.call(socket as never, { code: 4401 } as CloseEvent);
  expect(wanted.value).toBe("This cluster asks who you are.");
});
