import static io.grpc.Status.Code.DEADLINE_EXCEEDED;
import static io.grpc.Status.Code.OUT_OF_RANGE;
import static io.grpc.Status.Code.UNAVAILABLE;
import static java.util.concurrent.TimeUnit.MILLISECONDS;
import static java.util.concurrent.TimeUnit.SECONDS;

import com.google.gson.Gson;
import com.google.protobuf.ByteString;
import io.grpc.ChannelCredentials;
import io.grpc.Context;
import io.grpc.Context.CancellableContext;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.TlsChannelCredentials;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.ThreadLocalRandom;
import java.util.function.Consumer;
import java.util.function.Function;
import quorate.v1.SchedulerGrpc;
import quorate.v1.SchedulerGrpc.SchedulerBlockingStub;
import quorate.v1.SchedulerOuterClass.CreateTaskRequest;
import quorate.v1.SchedulerOuterClass.GetTaskRequest;
import quorate.v1.SchedulerOuterClass.LogChunk;
import quorate.v1.SchedulerOuterClass.LogStream;
import quorate.v1.SchedulerOuterClass.StreamTaskLogsRequest;
import quorate.v1.SchedulerOuterClass.StreamTaskLogsResponse;
import quorate.v1.SchedulerOuterClass.WatchTasksRequest;
import quorate.v1.SchedulerOuterClass.WatchTasksResponse;
import quorate.v1.TaskOuterClass.CommandWork;
import quorate.v1.TaskOuterClass.Task;
import quorate.v1.TaskOuterClass.TaskSpec;
import quorate.v1.TaskOuterClass.TaskState;

/**
 * Submits tasks, follows them and reads their logs, through failovers.
 *
 * <pre>client [--tasks N] [--service-config FILE] ADDRESS...</pre>
 *
 * ADDRESS is host:port of any scheduler; give all of them. Prints one line for each task created,
 * finished and read. Who repeats what when a scheduler dies:
 *
 * <ul>
 *   <li>a single call: gRPC itself, at the same address, as the service config says; then {@link
 *       #repeat} at the next one, always with the same request_id: nothing is done twice;
 *   <li>the watch: {@link #follow} opens it again behind the last resume_token, so that nothing is
 *       missed or told twice;
 *   <li>a log: {@link #readLog} reads it again from its beginning.
 * </ul>
 */
public final class Client {
  private static final String QUEUE = "default";
  private static final long CALL_SECONDS = 5; // One try of one call.
  private static final long PATIENCE_SECONDS = 60; // All tries together.
  private static final long MOST_PAUSE_MS = 100; // Between tries.
  private static final int MOST_BYTES = 64 << 20; // Of one answer.
  private static final List<TaskState> FINISHED =
      List.of(
          TaskState.TASK_STATE_SUCCEEDED,
          TaskState.TASK_STATE_FAILED,
          TaskState.TASK_STATE_CANCELLED);

  private final List<SchedulerBlockingStub> schedulers = new ArrayList<>();
  private int turn = 0; // Whose it is to be asked.

  private Client(List<String> addresses, Map<String, ?> serviceConfig) throws IOException {
    for (String address : addresses) {
      schedulers.add(
          SchedulerGrpc.newBlockingStub(
              Grpc.newChannelBuilder(address, credentials())
                  .defaultServiceConfig(serviceConfig)
                  .enableRetry() // Off by default before grpc-java 1.47.
                  .maxInboundMessageSize(MOST_BYTES)
                  .keepAliveTime(20, SECONDS) // Finds out that a scheduler is frozen or cut off.
                  .build()));
    }
  }

  /** TLS where QUORATE_TLS_CA_FILE, _CERT_FILE and _KEY_FILE say so, as the command has it. */
  private static ChannelCredentials credentials() throws IOException {
    String authority = System.getenv("QUORATE_TLS_CA_FILE");
    String certificate = System.getenv("QUORATE_TLS_CERT_FILE");
    if (authority == null) return InsecureChannelCredentials.create();
    TlsChannelCredentials.Builder tls =
        TlsChannelCredentials.newBuilder().trustManager(new File(authority));
    if (certificate == null) return tls.build();
    File key = new File(System.getenv("QUORATE_TLS_KEY_FILE"));
    return tls.keyManager(new File(certificate), key).build();
  }

  /** The next scheduler's turn, if another try may do better: the outcome is not known. */
  private void failover(StatusRuntimeException error, long since) throws InterruptedException {
    Status.Code code = error.getStatus().getCode();
    boolean patient = System.nanoTime() - since < SECONDS.toNanos(PATIENCE_SECONDS);
    if ((code != UNAVAILABLE && code != DEADLINE_EXCEEDED) || !patient) throw error;
    turn = (turn + 1) % schedulers.size();
    MILLISECONDS.sleep(ThreadLocalRandom.current().nextLong(MOST_PAUSE_MS));
  }

  /** Runs {@code attempt}, each time with a deadline of its own, until its outcome is known. */
  private <T> T repeat(Function<SchedulerBlockingStub, T> attempt) throws Exception {
    for (long begin = System.nanoTime(); ; ) {
      // What an attempt leaves open, such as a stream, is cancelled behind it.
      try (CancellableContext context = Context.current().withCancellation()) {
        return context.call(
            () -> attempt.apply(schedulers.get(turn).withDeadlineAfter(CALL_SECONDS, SECONDS)));
      } catch (StatusRuntimeException error) {
        failover(error, begin);
      }
    }
  }

  private String createTask(int number) throws Exception {
    String script = "sleep 0.05; echo hello " + number + " from java";
    TaskSpec spec =
        TaskSpec.newBuilder()
            .setName("hello-from-java")
            .putLabels("client", "java")
            .setCommand(CommandWork.newBuilder().addAllArgv(List.of("sh", "-c", script)))
            .build();
    CreateTaskRequest request =
        CreateTaskRequest.newBuilder()
            .setQueue(QUEUE)
            .setRequestId(UUID.randomUUID().toString()) // Made once, outside of what is repeated.
            .setSpec(spec)
            .build();
    return repeat(scheduler -> scheduler.createTask(request)).getTask().getId();
  }

  /** Asks for finished tasks of the queue behind a token. */
  private static WatchTasksRequest watchRequest(String token) {
    return WatchTasksRequest.newBuilder()
        .setQueue(QUEUE)
        .addAllStates(FINISHED)
        .setResumeToken(token)
        .build();
  }

  /** A token: what happens from here on is behind it. */
  private String watchFromNow() throws Exception {
    return repeat(scheduler -> scheduler.watchTasks(watchRequest("")).next()).getResumeToken();
  }

  /** Reads the watch behind {@code token} until all tasks are finished; tells each one once. */
  private void follow(String token, List<String> ids, Consumer<Task> tell) throws Exception {
    Set<String> waiting = new HashSet<>(ids);
    Consumer<Task> settle =
        task -> {
          if (waiting.remove(task.getId())) tell.accept(task);
        };
    long heard = System.nanoTime();
    while (!waiting.isEmpty()) {
      CancellableContext context = Context.current().withCancellation();
      Context before = context.attach();
      try {
        Iterator<WatchTasksResponse> answers = schedulers.get(turn).watchTasks(watchRequest(token));
        while (!waiting.isEmpty() && answers.hasNext()) {
          WatchTasksResponse answer = answers.next();
          heard = System.nanoTime();
          // Only now: what finishes after these looks is in the stream.
          if (token.isEmpty()) look(waiting, settle);
          answer.getEventsList().forEach(event -> settle.accept(event.getTask()));
          token = answer.getResumeToken();
        }
      } catch (StatusRuntimeException error) {
        System.err.println("the watch is resumed: " + error.getMessage());
        // Too old to resume from: watch from now on, and look once.
        if (error.getStatus().getCode() == OUT_OF_RANGE) token = "";
        else failover(error, heard);
      } finally {
        context.detach(before);
        context.cancel(null); // Ends the stream.
      }
    }
  }

  /** Settles those tasks that are finished now. */
  private void look(Set<String> ids, Consumer<Task> settle) throws Exception {
    for (String id : List.copyOf(ids)) {
      GetTaskRequest request = GetTaskRequest.newBuilder().setId(id).build();
      Task task = repeat(scheduler -> scheduler.getTask(request)).getTask();
      if (task.hasFinishTime()) settle.accept(task);
    }
  }

  /** What a task wrote to standard output. */
  private String readLog(String id) throws Exception {
    StreamTaskLogsRequest request = StreamTaskLogsRequest.newBuilder().setId(id).build();
    return repeat(
        scheduler -> {
          ByteString text = ByteString.EMPTY;
          Iterator<StreamTaskLogsResponse> answers = scheduler.streamTaskLogs(request);
          while (answers.hasNext()) {
            LogChunk chunk = answers.next().getChunk();
            if (chunk.getStream() == LogStream.LOG_STREAM_STDOUT) {
              text = text.concat(chunk.getData());
            }
          }
          return text.toStringUtf8();
        });
  }

  @SuppressWarnings("unchecked") // A JSON object is a Map<String, ?>.
  public static void main(String[] arguments) throws Exception {
    int count = 10;
    Path config = Path.of("../../../protos/quorate/v1/service_config.json");
    List<String> addresses = new ArrayList<>(List.of(arguments));
    while (addresses.size() > 1 && addresses.get(0).startsWith("--")) {
      String name = addresses.remove(0);
      String value = addresses.remove(0);
      if (name.equals("--tasks")) count = Integer.parseInt(value);
      if (name.equals("--service-config")) config = Path.of(value);
    }
    if (addresses.isEmpty() || count < 1) {
      System.err.println("usage: client [--tasks N] [--service-config FILE] ADDRESS...");
      System.exit(1);
    }
    Client client = new Client(addresses, new Gson().fromJson(Files.readString(config), Map.class));

    String token = client.watchFromNow(); // Before the first task, so that nothing is missed.
    List<String> ids = new ArrayList<>();
    for (int number = 0; number < count; number++) {
      ids.add(client.createTask(number));
      System.out.println("created " + ids.get(number));
    }
    Set<String> failed = new HashSet<>();
    client.follow(
        token,
        ids,
        task -> {
          System.out.println(task.getState() + " " + task.getId());
          if (task.getState() != TaskState.TASK_STATE_SUCCEEDED) failed.add(task.getId());
        });
    for (String id : ids) System.out.print("log " + id + " " + client.readLog(id));
    System.out.flush();
    System.exit(failed.isEmpty() ? 0 : 1);
  }
}
