// The work queue and the publish/subscribe of RabbitMQ's tutorials, with a client of RabbitMQ. Nothing
// in it is about Quorate but the URL.
//
//	tutorial URL new_task QUEUE TEXT...       publish tasks to a work queue; returns when all are durable
//	tutorial URL worker QUEUE [DOT]           do tasks: DOT (such as 1s) for each dot of the text
//	tutorial URL emit_log EXCHANGE TEXT...    publish to everybody who listens now
//	tutorial URL receive_logs EXCHANGE        listen
//
// The last one and worker print "waiting" when they are ready, and run until they are killed.
package main

import (
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/streadway/amqp"
)

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// publish returns when every message is durable, in all its queues.
func publish(channel *amqp.Channel, exchange, key string, texts []string) {
	check(channel.Confirm(false))
	confirms := channel.NotifyPublish(make(chan amqp.Confirmation, len(texts)))
	for _, text := range texts {
		check(channel.Publish(exchange, key, false, false, amqp.Publishing{
			DeliveryMode: amqp.Persistent,
			ContentType:  "text/plain",
			Body:         []byte(text),
		}))
	}
	for range texts {
		if confirm := <-confirms; !confirm.Ack {
			log.Fatalf("message %d was refused", confirm.DeliveryTag)
		}
	}
}

func workQueue(channel *amqp.Channel, name string) {
	_, err := channel.QueueDeclare(name, true, false, false, false, nil) // durable
	check(err)
}

func newTask(channel *amqp.Channel, queue string, texts []string) {
	workQueue(channel, queue)
	publish(channel, "", queue, texts)
}

func worker(channel *amqp.Channel, queue string, dot time.Duration) {
	workQueue(channel, queue)
	check(channel.Qos(1, 0, false)) // One task at a time: others go to workers that are free.
	tasks, err := channel.Consume(queue, "", false, false, false, false, nil)
	check(err)
	fmt.Println("waiting")
	for task := range tasks {
		fmt.Println("received", task.Redelivered, string(task.Body))
		time.Sleep(dot * time.Duration(strings.Count(string(task.Body), ".")))
		check(task.Ack(false)) // A worker that dies before this gives the task back.
		fmt.Println("done", string(task.Body))
	}
}

func fanout(channel *amqp.Channel, exchange string) {
	check(channel.ExchangeDeclare(exchange, "fanout", true, false, false, false, nil)) // durable
}

func emitLog(channel *amqp.Channel, exchange string, texts []string) {
	fanout(channel, exchange)
	publish(channel, exchange, "", texts)
}

func receiveLogs(channel *amqp.Channel, exchange string) {
	fanout(channel, exchange)
	queue, err := channel.QueueDeclare("", false, false, true, false, nil) // exclusive, named by the server
	check(err)
	check(channel.QueueBind(queue.Name, "", exchange, false, nil))
	logs, err := channel.Consume(queue.Name, "", true, false, false, false, nil) // acknowledged automatically
	check(err)
	fmt.Println("waiting")
	for one := range logs {
		fmt.Println("received", string(one.Body))
	}
}

func main() {
	log.SetFlags(0)
	if len(os.Args) < 4 {
		log.Fatal("usage: tutorial URL new_task|worker|emit_log|receive_logs NAME [TEXT...]")
	}
	connection, err := amqp.Dial(os.Args[1])
	check(err)
	defer connection.Close()
	channel, err := connection.Channel()
	check(err)
	name, rest := os.Args[3], os.Args[4:]
	switch os.Args[2] {
	case "new_task":
		newTask(channel, name, rest)
	case "worker":
		dot := time.Second
		if len(rest) > 0 {
			dot, err = time.ParseDuration(rest[0])
			check(err)
		}
		worker(channel, name, dot)
	case "emit_log":
		emitLog(channel, name, rest)
	case "receive_logs":
		receiveLogs(channel, name)
	default:
		log.Fatalf("unknown program %q", os.Args[2])
	}
	if connection.IsClosed() {
		log.Fatal("the connection is lost")
	}
}
