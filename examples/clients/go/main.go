// Submits tasks, follows them and reads their logs, through failovers.
//
//	client [-tasks N] ADDRESS...
//
// ADDRESS is host:port of any scheduler; give all of them. Who repeats what when one dies:
//
//	a single call   gRPC itself, on another address, as the service config says (grpc-go before
//	                1.40 wants GRPC_GO_RETRY=on for that); then repeat, always with the same
//	                request_id, so that nothing is done twice
//	the watch       follow: opened again behind the last resume_token: nothing is missed or told twice
//	a log           readLog: read again from its beginning
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "quorate/v1"
)

const queue = "default"

func createTask(client pb.SchedulerClient, number int) (string, error) {
	argv := []string{"sh", "-c", fmt.Sprintf("sleep 0.05; echo hello %d from go", number)}
	spec := &pb.TaskSpec{
		Name:   "hello-from-go",
		Labels: map[string]string{"client": "go"},
		Work:   &pb.TaskSpec_Command{Command: &pb.CommandWork{Argv: argv}},
	}
	// The id is made once, outside of what is repeated.
	request := &pb.CreateTaskRequest{Queue: queue, Spec: spec, RequestId: newID()}
	answer, err := repeat(func(ctx context.Context) (*pb.CreateTaskResponse, error) {
		return client.CreateTask(ctx, request)
	})
	return answer.GetTask().GetId(), err
}

// watchRequest asks for finished tasks behind a token.
func watchRequest(token string) *pb.WatchTasksRequest {
	states := []pb.TaskState{
		pb.TaskState_TASK_STATE_SUCCEEDED,
		pb.TaskState_TASK_STATE_FAILED,
		pb.TaskState_TASK_STATE_CANCELLED,
	}
	return &pb.WatchTasksRequest{Queue: queue, States: states, ResumeToken: token}
}

// watchFromNow gives a token: what happens from here on is behind it.
func watchFromNow(client pb.SchedulerClient) (string, error) {
	answer, err := repeat(func(ctx context.Context) (*pb.WatchTasksResponse, error) {
		stream, err := client.WatchTasks(ctx, watchRequest(""))
		if err != nil {
			return nil, err
		}
		return stream.Recv()
	})
	return answer.GetResumeToken(), err
}

// follow reads the watch behind token until every task of waiting has told its final state.
func follow(client pb.SchedulerClient, token string, waiting map[string]bool, tell func(*pb.Task)) error {
	settle := func(task *pb.Task) {
		if waiting[task.GetId()] {
			delete(waiting, task.GetId())
			tell(task)
		}
	}
	heard := time.Now()
	read := func() error {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		stream, err := client.WatchTasks(ctx, watchRequest(token))
		for err == nil && len(waiting) > 0 {
			var answer *pb.WatchTasksResponse
			if answer, err = stream.Recv(); err != nil {
				return err
			}
			heard = time.Now()
			if token == "" {
				// Only now: what finishes after these looks is in the stream.
				err = look(client, waiting, settle)
			}
			for _, event := range answer.GetEvents() {
				settle(event.GetTask())
			}
			token = answer.GetResumeToken()
		}
		return err
	}
	for len(waiting) > 0 {
		err := read()
		if status.Code(err) == codes.OutOfRange {
			token = "" // Too old to resume from: watch from now on, and look once.
		} else if err != nil && (!isUnknown(err) || time.Since(heard) > patience) {
			return err
		}
		if err != nil {
			log.Printf("the watch is resumed: %v", err)
			pause(watchPause)
		}
	}
	return nil
}

// look settles those tasks that are finished now.
func look(client pb.SchedulerClient, ids map[string]bool, settle func(*pb.Task)) error {
	for id := range ids {
		request := &pb.GetTaskRequest{Id: id}
		answer, err := repeat(func(ctx context.Context) (*pb.GetTaskResponse, error) {
			return client.GetTask(ctx, request)
		})
		if err != nil {
			return err
		}
		if answer.GetTask().GetFinishTime() != nil {
			settle(answer.GetTask())
		}
	}
	return nil
}

// readLog gives what a task wrote to standard output.
func readLog(client pb.SchedulerClient, id string) (string, error) {
	return repeat(func(ctx context.Context) (text string, err error) {
		stream, err := client.StreamTaskLogs(ctx, &pb.StreamTaskLogsRequest{Id: id})
		for err == nil {
			var answer *pb.StreamTaskLogsResponse
			answer, err = stream.Recv()
			if answer.GetChunk().GetStream() == pb.LogStream_LOG_STREAM_STDOUT {
				text += string(answer.GetChunk().GetData())
			}
		}
		if err == io.EOF {
			err = nil
		}
		return text, err
	})
}

func main() {
	log.SetFlags(0)
	tasks := flag.Int("tasks", 10, "how many tasks to submit")
	file := flag.String("service-config", "../../../protos/quorate/v1/service_config.json", "its file")
	flag.Parse()
	if flag.NArg() == 0 || *tasks < 1 {
		log.Fatal("usage: client [-tasks N] ADDRESS...")
	}
	connection := must(connect(flag.Args(), string(must(os.ReadFile(*file)))))
	defer connection.Close()
	client := pb.NewSchedulerClient(connection)

	token := must(watchFromNow(client)) // Before the first task, so that nothing is missed.
	ids, waiting, failed := []string{}, map[string]bool{}, 0
	for number := 0; number < *tasks; number++ {
		id := must(createTask(client, number))
		fmt.Println("created", id)
		ids, waiting[id] = append(ids, id), true
	}
	err := follow(client, token, waiting, func(task *pb.Task) {
		fmt.Println(task.GetState(), task.GetId())
		if task.GetState() != pb.TaskState_TASK_STATE_SUCCEEDED {
			failed++
		}
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, id := range ids {
		fmt.Print("log ", id, " ", must(readLog(client, id)))
	}
	if failed > 0 {
		log.Fatalf("%d tasks failed", failed)
	}
}
